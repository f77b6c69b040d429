#if NATS
    import CNATS
    import Crypto
    import Foundation

    /// The key of a user: signs what the broker sends at the beginning of a connection.
    ///
    /// Its seed is text of base 32, `SU…`: two bytes that name the kind, 32 bytes of an Ed25519 key, and a checksum. Source: the
    /// [nkeys of NATS](https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth). The library reads
    /// seed files as well, but does not derive the public key, and takes other text that contains SU for a seed.
    package final class NKey: Sendable {
        private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        private static let seedPrefix: UInt8 = 18 << 3
        private static let userPrefix: UInt8 = 20 << 3
        private static let maxFileBytes = 4_096

        private let key: Curve25519.Signing.PrivateKey
        /// By which the broker knows the user: `U…`.
        package let publicKey: String

        /// Finds the seed among the words of a file, such as `nk -gen user` writes.
        package init(parsing text: String) throws(NATSError) {
            let seeds = text.split(whereSeparator: \.isWhitespace).compactMap { Self.seed(of: Array($0.utf8)) }
            guard let seed = seeds.first, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else {
                throw NATSError(.invalidOption, "no seed of a user is in it: expected a line that begins with SU")
            }
            self.key = key
            publicKey = Self.encoded([Self.userPrefix] + key.publicKey.rawRepresentation)
        }

        /// - Parameter file: is read again for each connection.
        convenience init(file: String) throws(NATSError) {
            guard let handle = FileHandle(forReadingAtPath: file) else {
                throw NATSError(.invalidOption, "'\(file)' cannot be read")
            }
            do throws(NATSError) {
                // A file that cannot be read has no seed.
                let bytes = (try? handle.read(upToCount: Self.maxFileBytes)) ?? Data()
                try self.init(parsing: String(decoding: bytes, as: UTF8.self))
            } catch {
                throw NATSError(error.kind, "'\(file)': \(error.message)")
            }
        }

        /// The key's 32 bytes; nil for text that is no seed of a user.
        private static func seed(of text: [UInt8]) -> ArraySlice<UInt8>? {
            guard let bytes = decoded(text), bytes.count == 36, checksum(bytes.dropLast(2)) == bytes.suffix(2) else {
                return nil
            }
            // The first five bits name a seed, the next eight the kind of its key.
            let kind = bytes[0] << 5 | bytes[1] >> 3
            return bytes[0] & 0xF8 == seedPrefix && kind == userPrefix ? bytes[2..<34] : nil
        }

        /// A signature in memory of its own, which the library frees.
        fileprivate func sign(
            _ nonce: UnsafePointer<CChar>,
            _ signature: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>,
            _ count: UnsafeMutablePointer<Int32>
        ) -> natsStatus {
            // Signing with a valid key does not fail.
            guard let signed = try? key.signature(for: Data(String(cString: nonce).utf8)),
                let memory = malloc(signed.count)
            else { return NATS_ERR }
            let bytes = memory.bindMemory(to: UInt8.self, capacity: signed.count)
            signed.copyBytes(to: bytes, count: signed.count)
            signature.pointee = bytes
            count.pointee = Int32(signed.count)
            return NATS_OK
        }

        // MARK: Base 32

        private static func encoded(_ bytes: [UInt8]) -> String {
            var (text, bits, count): ([UInt8], UInt32, UInt32) = ([], 0, 0)
            for byte in bytes + checksum(bytes[...]) {
                bits = bits << 8 | UInt32(byte)
                count += 8
                while count >= 5 {
                    count -= 5
                    text.append(alphabet[Int(bits >> count & 31)])
                }
                bits &= 1 << count - 1
            }
            if count > 0 { text.append(alphabet[Int(bits << (5 - count) & 31)]) }
            return String(decoding: text, as: UTF8.self)
        }

        /// Nil for text with other characters.
        private static func decoded(_ text: [UInt8]) -> [UInt8]? {
            var (bytes, bits, count): ([UInt8], UInt32, UInt32) = ([], 0, 0)
            for character in text {
                guard let value = alphabet.firstIndex(of: character) else { return nil }
                bits = bits << 5 | UInt32(value)
                count += 5
                if count >= 8 {
                    count -= 8
                    bytes.append(UInt8(truncatingIfNeeded: bits >> count))
                }
                bits &= 1 << count - 1
            }
            return bytes
        }

        /// CRC-16/XMODEM, little-endian.
        private static func checksum(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
            var checksum: UInt16 = 0
            for byte in bytes {
                checksum ^= UInt16(byte) << 8
                for _ in 0..<8 { checksum = checksum & 0x8000 == 0 ? checksum << 1 : checksum << 1 ^ 0x1021 }
            }
            return [UInt8(truncatingIfNeeded: checksum), UInt8(checksum >> 8)]
        }
    }

    /// Signs with a key, which must exist as long as the connection.
    func setKey(_ key: NKey, of options: OpaquePointer) throws(NATSError) {
        let status = natsOptions_SetNKey(
            options,
            key.publicKey,
            { _, signature, count, nonce, key in
                guard let signature, let count, let nonce, let key else { return NATS_ERR }
                return Unmanaged<NKey>.fromOpaque(key).takeUnretainedValue().sign(nonce, signature, count)
            },
            Unmanaged.passUnretained(key).toOpaque()
        )
        try check(status)
    }
#endif
