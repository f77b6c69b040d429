import NIOSSL

/// TLS between a test's two ends: a self-signed certificate for localhost, made with `openssl req -x509` for this alone.
struct TestTLS {
    let server: NIOSSLContext
    let client: NIOSSLContext

    init() throws {
        let certificate = try NIOSSLCertificate(bytes: Array(Self.certificate.utf8), format: .pem)
        let key = try NIOSSLPrivateKey(bytes: Array(Self.key.utf8), format: .pem)
        server = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: [.certificate(certificate)],
                privateKey: .privateKey(key)
            )
        )
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([certificate])
        client = try NIOSSLContext(configuration: configuration)
    }

    private static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBnDCCAUGgAwIBAgIUYLYuPZOsUum/8JVr23HPX9gv+dIwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzA2MDIwNVoYDzIxMjYxMDMw
        MDYwMjA1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAASBOstidXSu5Bovcvw/iHlXmFL4UEMCCMEO6J+xYJr9WS6n7tZkFzeC
        TCepHSEyK3IUhZ3eCZFRXKn1qLedWPGXo28wbTAdBgNVHQ4EFgQUq/NUq2Mk6LIn
        JWJb61W0TdbRO+wwHwYDVR0jBBgwFoAUq/NUq2Mk6LInJWJb61W0TdbRO+wwGgYD
        VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
        zj0EAwIDSQAwRgIhANz31nNhoHTcgcnWppDKEbyDMbVs7+tifdd6yDzI4FtFAiEA
        w8yFLxrSZQXvMXZk6gkan6Z5V31gYpaO9vTGMUmBkeY=
        -----END CERTIFICATE-----
        """

    private static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6ivsFSDPEc7ClBHi
        W3qKIX9DDqCm6R0HhGyqcqEi2x+hRANCAASBOstidXSu5Bovcvw/iHlXmFL4UEMC
        CMEO6J+xYJr9WS6n7tZkFzeCTCepHSEyK3IUhZ3eCZFRXKn1qLedWPGX
        -----END PRIVATE KEY-----
        """
}
