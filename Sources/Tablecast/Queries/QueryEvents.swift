import Broadcast
import QueryEngine
import WireProtocol

/// What one query lets be known: its messages for the subscribers of `queries`, and the same ones as replies for its
/// requester.
struct QueryEvents: Sendable {
    let queryID: String
    let sql: String
    let userID: String
    let username: String?
    let database: String?
    /// The `id` of the request, which means nothing to others.
    let requestID: String?
    /// Nil for a query that no service runs.
    var observation: QueryObservation?
    /// Passes a message to everybody else who listens to `queries`; makes it only if there is anybody.
    let publish: @Sendable (_ message: () -> EncodedMessage) -> Void

    func started(readOnly: Bool) -> [UInt8] {
        observation?.started(readOnly: readOnly)
        return send(
            .queryStarted,
            QueryStartedPayload(
                queryID: queryID,
                sql: sql,
                userID: userID,
                username: username,
                database: database,
                isReadOnly: readOnly
            )
        )
    }

    func progress(_ progress: QueryProgress) -> [UInt8] {
        send(
            .queryProgress,
            QueryProgressPayload(
                queryID: queryID,
                // A tenth of a percent is more than an estimate can know.
                progress: progress.fraction.map { ($0 * 1_000).rounded(.down) / 10 },
                message: progress.message,
                rowCount: progress.rowCount,
                elapsed: progress.elapsed.milliseconds,
                estimatedTotal: progress.estimatedTotal
            )
        )
    }

    func completed(_ outcome: QueryOutcome) -> [UInt8] {
        observation?.completed(outcome)
        return send(.queryComplete, QueryCompletePayload(queryID: queryID, outcome))
    }

    func failed(_ failure: QueryFailure) -> [UInt8] {
        observation?.failed(failure)
        return send(.queryError, QueryErrorPayload(queryID: queryID, failure))
    }

    func cancelled(
        _ reason: CancelReason,
        rowCount: Int,
        duration: Duration,
        inTransaction: Bool?
    ) -> [UInt8] {
        observation?.cancelled(reason, rows: rowCount)
        return send(
            .queryCancelled,
            QueryCancelledPayload(
                queryID: queryID,
                reason: .init(reason),
                rowCount: rowCount,
                duration: duration.milliseconds,
                isInTransaction: inTransaction
            )
        )
    }

    /// Publishes the message and returns it as the requester gets it.
    private func send(_ type: MessageType, _ data: some JSONWritable) -> [UInt8] {
        var header = EnvelopeHeader(type, channel: .queries)
        publish { [header] in EncodedMessage(header, data) }
        header.replyTo = requestID
        var reply = JSONWriter()
        reply.envelope(header, data)
        return reply.bytes
    }
}

/// Tells a client on the WebSocket that its transaction was rolled back without its doing. Thread-safe.
struct TransactionNotices: QueryServiceEvents {
    let server: WebSocketServer

    func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure) {
        guard let client = server.clients[client.rawValue] else { return }
        let payload = ErrorPayload(message: failure.message, code: ErrorCode(rawValue: failure.code.rawValue))
        server.hub.send(EncodedMessage(EnvelopeHeader(.error, channel: .notifications), payload), to: client.id)
    }
}
