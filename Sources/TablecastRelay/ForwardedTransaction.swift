import QueryEngine
import WireProtocol

/// What a relay knows about the transaction of one client at the source. A pure state machine.
///
/// The source rolls a transaction back with the connection that carries it, and knows nothing of it on the next one. So the
/// relay applies the rule of the source in its place: requests that were meant for the transaction are not run, up to COMMIT
/// or ROLLBACK, or until another BEGIN.
struct ForwardedTransaction {
    private enum Phase: Equatable {
        case none
        case open
        /// The source has rolled it back, and refuses what was meant for it.
        case refusedBySource(ProtocolError)
        /// It was lost with its connection, or its BEGIN was not forwarded.
        case refusedByRelay(ProtocolError)
    }

    /// The answer of the source to a request.
    enum Answer {
        case completed(inTransaction: Bool)
        case failed(ProtocolError, inTransaction: Bool?)
        case cancelled(inTransaction: Bool?)
    }

    private struct Unanswered {
        let request: ForwardedRequest
        let number: Int
    }

    private var phase = Phase.none
    /// Forwarded over the present connection, in order.
    private var unanswered: [Unanswered] = []
    private var lastNumber = 0
    /// The request that found a transaction open last. A read that was sent before it can end after it.
    private var lastInTransaction = 0

    // MARK: Requests

    /// The request is about to be forwarded.
    ///
    /// - Returns: why it must not be.
    mutating func admit(_ request: ForwardedRequest) -> ProtocolError? {
        if let refusal = refusal(of: request) { return refusal }
        lastNumber += 1
        unanswered.append(Unanswered(request: request, number: lastNumber))
        return nil
    }

    /// The request is not forwarded for another reason.
    ///
    /// - Returns: the error for its client, and whether it is that of a transaction.
    mutating func refuse(_ request: ForwardedRequest, _ error: ProtocolError) -> (ProtocolError, ofTransaction: Bool) {
        if let refusal = refusal(of: request) { return (refusal, true) }
        unanswered.removeAll { $0.request.id == request.id }
        let begins = phase == .none && !unanswered.contains(where: \.request.mayLeaveOpen)
        guard begins, request.mayLeaveOpen else { return (error, false) }
        // The client may have sent more requests without waiting for this answer.
        phase = .refusedByRelay(error)
        return (error.refusingTheRest, true)
    }

    private mutating func refusal(of request: ForwardedRequest) -> ProtocolError? {
        guard case .refusedByRelay(let error) = phase else { return nil }
        if request.begins || request.ends { phase = .none }
        return request.begins ? nil : error.refusingTheRest
    }

    // MARK: Answers

    mutating func answered(_ id: String, _ answer: Answer) {
        guard let index = unanswered.firstIndex(where: { $0.request.id == id }) else { return }
        let (request, number) = (unanswered[index].request, unanswered[index].number)
        unanswered.remove(at: index)
        // It was sent before the request that the relay refused.
        if case .refusedByRelay = phase { return }
        switch answer {
        case .completed(inTransaction: true), .failed(_, inTransaction: true), .cancelled(inTransaction: true):
            phase = .open
            lastInTransaction = max(lastInTransaction, number)
        case .completed:
            if number > lastInTransaction { phase = .none }
        case .failed(_, inTransaction: false), .cancelled(inTransaction: false):
            phase = request.ends ? .none : .refusedBySource(Self.rolledBack)
        case .failed(let error, _):
            failed(request, error)
        case .cancelled:
            // It never ran.
            break
        }
    }

    private mutating func failed(_ request: ForwardedRequest, _ error: ProtocolError) {
        if request.ends {
            if !Self.limits.contains(error.code) { phase = .none }
        } else if request.begins {
            // It has acknowledged the end of the previous transaction.
            if case .refusedBySource = phase { phase = .none }
        } else if Self.ends.contains(error.code) {
            phase = .refusedBySource(error)
        }
    }

    /// The source has notified the client that its transaction was rolled back.
    mutating func ended(_ error: ProtocolError) {
        guard phase == .open, Self.ends.contains(error.code) || error.code == .databaseGone else { return }
        phase = .refusedBySource(error)
    }

    private static let ends: Set<ErrorCode> = [.transactionTimedOut, .transactionRolledBack]
    /// With these the source refuses also a COMMIT, and the transaction stays open.
    private static let limits: Set<ErrorCode> = [
        .rateLimited, .tooManyQueries, .queryIDInUse, .tooBig, .forbidden, .unauthorized, .invalidMessage,
    ]
    private static let rolledBack = ProtocolError(.transactionRolledBack, "your transaction was rolled back")

    // MARK: The connection

    struct Failure {
        let request: ForwardedRequest
        let error: ProtocolError
        let wasInTransaction: Bool
    }

    /// What the client receives after the loss of its connection.
    struct Loss {
        /// The end of its transaction.
        var notice: ProtocolError?
        /// Answers to all requests that had none.
        var failures: [Failure] = []
    }

    /// - Parameters:
    ///   - error: why the connection ended.
    ///   - wasOpen: false when it could not be opened, so that no request has run.
    mutating func connectionLost(_ error: ProtocolError, wasOpen: Bool) -> Loss {
        let before = phase
        var loss = Loss()
        var parts: [ForwardedRequest] = []
        for request in unanswered.map(\.request) {
            if case .refusedBySource(let error) = phase, !request.begins {
                loss.failures.append(Failure(request: request, error: error.refusingTheRest, wasInTransaction: true))
            } else if phase == .open || request.mayLeaveOpen {
                parts.append(request)
            } else {
                let error = wasOpen ? error.adding("; it is not known whether the request took effect") : error
                loss.failures.append(Failure(request: request, error: error, wasInTransaction: false))
            }
            if request.mayLeaveOpen { phase = .open } else if request.ends { phase = .none }
        }
        unanswered = []
        var end = error
        if wasOpen {
            let mayBeCommitted = parts.contains(where: \.mayEnd)
            end = error.adding(
                mayBeCommitted
                    ? "; it is not known whether your transaction was committed"
                    : ", and your transaction was rolled back"
            )
        }
        switch phase {
        case .open:
            phase = .refusedByRelay(end)
            if wasOpen, before == .open || parts.count > 1 { loss.notice = end }
            end = end.refusingTheRest
        case .refusedBySource(let error):
            phase = .refusedByRelay(error)
        case .none, .refusedByRelay:
            break
        }
        loss.failures += parts.map { Failure(request: $0, error: end, wasInTransaction: true) }
        return loss
    }

    /// Whether the connection can be replaced by one to another source without a loss for the client.
    mutating func leaveConnection() -> Bool {
        guard unanswered.isEmpty, phase != .open else { return false }
        if case .refusedBySource(let error) = phase { phase = .refusedByRelay(error) }
        return true
    }
}

extension ForwardedTransaction.Answer {
    /// Nil for a message that is no answer to a query or the write of a row.
    init?(_ payload: ServerPayload) {
        switch payload {
        case .queryComplete(let complete): self = .completed(inTransaction: complete.isInTransaction == true)
        case .rowWritten(let written): self = .completed(inTransaction: written.isInTransaction == true)
        case .queryCancelled(let cancelled): self = .cancelled(inTransaction: cancelled.isInTransaction)
        case .queryError(let error):
            self = .failed(ProtocolError(error.code, error.error), inTransaction: error.isInTransaction)
        case .error(let error):
            var inTransaction: Bool?
            if case .object(let fields)? = error.details, case .bool(let value)? = fields["inTransaction"] {
                inTransaction = value
            }
            self = .failed(ProtocolError(error.code, error.message), inTransaction: inTransaction)
        default: return nil
        }
    }
}

extension ProtocolError {
    fileprivate func adding(_ text: String) -> ProtocolError { ProtocolError(code, message + text) }

    /// The error of a request that was meant to be part of a transaction that has ended.
    fileprivate var refusingTheRest: ProtocolError {
        message.hasSuffix(QueryFailure.refusesTheRest) ? self : adding(QueryFailure.refusesTheRest)
    }
}
