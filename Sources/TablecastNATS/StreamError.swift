#if NATS
    package import NATSConnection

    /// Why a stream cannot be used.
    package enum StreamError: Error, Sendable, Hashable, CustomStringConvertible {
        /// The broker, or the way to it.
        case broker(NATSError)
        /// The broker does not acknowledge, or refuses a message.
        case refused(String)
        /// Another process publishes into the stream; with what it says of itself.
        case otherPublisher(String)
        /// The stream has the changes of another database.
        case otherDatabase(String, expected: String)
        /// The stream is not one that this program uses.
        case otherStream(String)
        /// Another version wrote the messages.
        case versionDiffers
        /// No stream, or none with a state, to receive from.
        case noStream(String)

        package var description: String {
            switch self {
            case .broker(let error): error.description
            case .refused(let reason): "the broker refused a message: \(reason)"
            case .otherPublisher(let text): "another process publishes into the stream: \(text)"
            case .otherDatabase(let found, let expected):
                "the stream has the changes of the database '\(found)', expected '\(expected)'"
            case .otherStream(let reason): "the stream cannot be used: \(reason)"
            case .versionDiffers:
                "another version of this program, or another program, wrote into the stream: use the same version for source and relays"
            case .noStream(let reason): reason
            }
        }

        /// Whether a later attempt can succeed without a change of the configuration.
        package var isTransient: Bool {
            switch self {
            case .broker(let error): error.kind == .unreachable || error.kind == .other
            case .refused, .noStream: true
            case .otherPublisher, .otherDatabase, .otherStream, .versionDiffers: false
            }
        }
    }

    /// The names of a stream and of its subjects.
    package struct StreamName: Sendable, Hashable, CustomStringConvertible {
        package static let standard = StreamName(valid: "tablecast")
        static let maxBytes = 64

        package let description: String

        /// Nil for what is not 1 to 64 letters, digits, `-` and `_`.
        package init?(_ text: String) {
            let isValid =
                (1...Self.maxBytes).contains(text.utf8.count)
                && text.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }
            guard isValid else { return nil }
            self.init(valid: text)
        }

        private init(valid: String) { description = valid }

        /// The only subject of the stream.
        var subject: String { "tablecast.\(self)" }
        /// Requests to the process that publishes.
        var control: String { "tablecast.\(self).control" }
    }

    /// Requests on ``StreamName/control``.
    enum ControlRequest {
        /// Answered with a description of the process.
        static let identity = "identity"
        /// Answered likewise; a state follows in the stream.
        static let state = "state"
        /// Answered with the position of the last transaction, which may not be in the stream yet.
        static let position = "position"
    }
#endif
