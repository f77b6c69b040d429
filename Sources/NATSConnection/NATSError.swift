#if NATS
    import CNATS

    /// A failure that libnats or the broker reports.
    package struct NATSError: Error, Sendable, Hashable {
        package enum Kind: Sendable, Hashable {
            /// No broker at the address, or the connection to it has ended, or it does not answer in time.
            case unreachable
            /// Wrong or missing credentials.
            case unauthorized
            /// The credentials do not allow this.
            case notPermitted
            /// The address or a file for the connection is wrong.
            case invalidOption
            /// The certificate of the broker, or that of the client, was refused; or only one of them expects TLS.
            case tls
            /// JetStream is not enabled for the account.
            case noJetStream
            /// No such stream, or no such message in it.
            case notFound
            case other
        }

        package var kind: Kind
        /// What libnats or the broker reported.
        package var message: String

        package init(_ kind: Kind, _ message: String) {
            self.kind = kind
            self.message = message
        }

        /// The report of the call that just returned `status`. Call it on the same thread.
        init(_ status: natsStatus, _ code: jsErrCode = jsErrCode(rawValue: 0)) {
            // The text of the last failure of this thread, which can be that of an earlier call.
            var last = NATS_OK
            let detail = nats_GetLastError(&last).map { String(cString: $0) } ?? ""
            let name = String(cString: natsStatus_GetText(status))
            message = last == status && !detail.isEmpty ? "\(name): \(detail)" : name
            kind = Self.kind(status, code)
        }

        private static func kind(_ status: natsStatus, _ code: jsErrCode) -> Kind {
            switch code {
            case JSStreamNotFoundErr, JSNoMessageFoundErr: return .notFound
            case JSNotEnabledErr, JSNotEnabledForAccountErr: return .noJetStream
            default: break
            }
            switch status {
            case NATS_NO_SERVER, NATS_IO_ERROR, NATS_CONNECTION_CLOSED, NATS_CONNECTION_DISCONNECTED,
                NATS_STALE_CONNECTION, NATS_TIMEOUT:
                return .unreachable
            case NATS_CONNECTION_AUTH_FAILED: return .unauthorized
            case NATS_NOT_PERMITTED: return .notPermitted
            case NATS_INVALID_ARG, NATS_ADDRESS_MISSING: return .invalidOption
            case NATS_SSL_ERROR, NATS_SECURE_CONNECTION_WANTED, NATS_SECURE_CONNECTION_REQUIRED: return .tls
            case NATS_NO_RESPONDERS: return .noJetStream
            case NATS_NOT_FOUND: return .notFound
            default: return .other
            }
        }
    }

    extension NATSError: CustomStringConvertible {
        package var description: String { message }
    }

    /// Throws unless the call succeeded.
    func check(_ status: natsStatus, _ code: jsErrCode = jsErrCode(rawValue: 0)) throws(NATSError) {
        guard status == NATS_OK else { throw NATSError(status, code) }
    }
#endif
