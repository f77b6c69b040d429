package import NIOHTTP1

/// Checks every request against RFC 9112 before it is interpreted. A request that two servers could interpret
/// differently is refused, because it can be used to smuggle requests past a proxy.
package enum RequestCheck {
    /// Bytes of one header, and of the target of a request.
    static let maxHeaderBytes = 16 << 10
    /// Bytes of all headers together.
    static let maxHeaderListBytes = 64 << 10

    /// - Returns: the request, with a target in origin-form (RFC 9112 section 3.2.1).
    /// - Throws: The refusal, after which the connection ends.
    package static func checked(_ head: HTTPRequestHead) throws(UpgradeRefusal) -> HTTPRequestHead {
        guard head.version.major == 1 else {
            throw UpgradeRefusal(.httpVersionNotSupported, "This server speaks HTTP/1.1.")
        }
        try checkFraming(head)
        var head = head
        let host = try host(head)
        try originForm(&head, host)
        return head
    }

    /// Section 6.1: with both lengths, or with a coding that HTTP/1.0 does not define, the end of the body is
    /// ambiguous.
    private static func checkFraming(_ head: HTTPRequestHead) throws(UpgradeRefusal) {
        let lengths = head.headers["Content-Length"]
        for length in lengths {
            guard !length.isEmpty, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }), UInt64(length) != nil else {
                throw bad("The header 'Content-Length' must be a number of bytes.")
            }
        }
        guard lengths.count <= 1 else { throw bad("The header 'Content-Length' must occur once.") }
        guard head.headers.contains(name: "Transfer-Encoding") else { return }
        guard lengths.isEmpty else { throw bad("A request has 'Transfer-Encoding' or 'Content-Length', not both.") }
        guard head.version.minor >= 1 else { throw bad("HTTP/1.0 has no 'Transfer-Encoding'.") }
        guard HeaderTokens.elements(head.headers["Transfer-Encoding"]).map({ $0.lowercased() }) == ["chunked"] else {
            throw UpgradeRefusal(.notImplemented, "The header 'Transfer-Encoding' must be 'chunked' alone.")
        }
    }

    /// Section 3.2: one `Host`, and a valid one; only HTTP/1.0 may leave it out.
    private static func host(_ head: HTTPRequestHead) throws(UpgradeRefusal) -> String? {
        let hosts = head.headers["Host"]
        guard let host = hosts.first, hosts.count == 1 else {
            if hosts.isEmpty, head.version.minor == 0 { return nil }
            throw bad("A request has the header 'Host' once; this one has it \(hosts.count) times.")
        }
        guard isAuthority(HeaderTokens.trim(host[...])) else {
            throw bad("The header 'Host' must be a host and, if need be, a port, such as localhost:3001.")
        }
        return host
    }

    /// The absolute-form (section 3.2.2) contains the host, and `Host` is ignored.
    private static func originForm(_ head: inout HTTPRequestHead, _ host: String?) throws(UpgradeRefusal) {
        guard head.method != .CONNECT else { throw UpgradeRefusal(.notImplemented, "This server is not a proxy.") }
        if head.uri.utf8.contains(UInt8(ascii: "#")) { throw bad("The target of a request must not have a fragment.") }
        if head.uri.hasPrefix("/") || head.uri == "*" && head.method == .OPTIONS { return }
        let target = head.uri
        guard let separator = target.firstRange(of: "://"),
            ["http", "https"].contains(target[..<separator.lowerBound].lowercased())
        else { throw bad("The target of a request must be a path, or a whole http address.") }
        let rest = target[separator.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard isAuthority(authority) else { throw bad("The host in the target of this request is not valid.") }
        let path = rest[authority.endIndex...]
        head.uri = path.hasPrefix("/") ? String(path) : "/" + path
        head.headers.replaceOrAdd(name: "Host", value: String(authority))
    }

    /// `uri-host [ ":" port ]` of RFC 3986 section 3.2, without empty parts.
    private static func isAuthority(_ text: Substring) -> Bool {
        let hostEnd: Substring.Index
        if text.first == "[" {
            guard let bracket = text.firstIndex(of: "]"),
                ClientAddress(text[text.index(after: text.startIndex)..<bracket]) != nil
            else { return false }
            hostEnd = text.index(after: bracket)
        } else {
            hostEnd = text.firstIndex(of: ":") ?? text.endIndex
            guard hostEnd > text.startIndex, text[..<hostEnd].utf8.allSatisfy(isNameByte) else { return false }
        }
        let port = text[hostEnd...]
        guard !port.isEmpty else { return true }
        let digits = port.dropFirst()
        return port.first == ":" && digits.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt16(digits) != nil
    }

    /// `reg-name`, RFC 3986 section 3.2.2: a name with characters that no host name has, such as spaces, is refused.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "-._~%!$&'()*+,;=".utf8.contains(byte)
        }
    }

    private static func bad(_ reason: String) -> UpgradeRefusal { UpgradeRefusal(.badRequest, reason) }
}

extension UpgradeRefusal {
    /// The refusal of a request that could not be parsed, with what the parser knows of the reason.
    init(parsing error: HTTPParserError) {
        let what = "This is not an HTTP/1.1 request"
        switch error {
        case .headerOverflow:
            self.init(
                .requestHeaderFieldsTooLarge,
                "The target or a header is longer than \(RequestCheck.maxHeaderBytes) bytes, or the headers together are "
                    + "longer than \(RequestCheck.maxHeaderListBytes)."
            )
        // The parser's answer to a line feed alone, too.
        case .invalidVersion: self.init(.badRequest, "\(what): its first line does not end with HTTP/1.1 and CR LF.")
        case .invalidMethod: self.init(.badRequest, "\(what): its method is unknown.")
        case .invalidURL: self.init(.badRequest, "\(what): its target is not valid.")
        case .invalidContentLength:
            self.init(.badRequest, "The header 'Content-Length' must be a number of bytes.")
        case .unexpectedContentLength:
            self.init(.badRequest, "A request has one 'Content-Length' or a 'Transfer-Encoding', not both or several.")
        case .invalidHeaderToken: self.init(.badRequest, "\(what): a header has an invalid character.")
        case .lfExpected: self.init(.badRequest, "\(what): a line does not end with CR LF.")
        default: self.init(.badRequest, "\(what).")
        }
    }
}
