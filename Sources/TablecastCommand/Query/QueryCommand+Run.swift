import ArgumentParser
import UnixSignals
import WebSocketTransport

extension QueryCommand {
    /// Of one message to the server, and so of the SQL in it.
    static let maxSQLBytes = 1 << 20

    func run() async throws {
        try await reportingFailure {
            var sql = arguments[arguments.count - 1]
            if sql == "-" { sql = try StandardInput.readAll(maxBytes: Self.maxSQLBytes) }
            let session = QuerySession(
                queryID: "cli-\(String(UInt64.random(in: .min ... .max), radix: 36))",
                sql: sql,
                data: try data(sql: sql),
                printer: ResultPrinter(format: format, palette: Terminal.output.palette),
                palette: Terminal.error.palette,
                errorWidth: Terminal.error.columnCount
            )
            let connection = try await ServerConnection(address: address, options: connection).open()
            let outcome = try await outcome(of: QueryRun(session, connection))
            await connection.close()
            try finish(outcome)
        }
    }

    private var format: ResultFormat {
        switch output {
        case .json: .json
        case .csv: .csv
        case nil: .table(lineWidth: Terminal.output.isInteractive ? Terminal.output.columnCount : .max)
        }
    }

    private func outcome(of run: QueryRun) async throws -> QuerySession.Outcome {
        let interrupts = await UnixSignalsSequence(trapping: .sigint)
        return try await withThrowingTaskGroup(of: QuerySession.Outcome?.self) { group in
            group.addTask { try await run.converse() }
            group.addTask {
                for await _ in interrupts {
                    if let outcome = try await run.interrupt() { return outcome }
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            return .cancelled(message: "interrupted")
        }
    }

    private func finish(_ outcome: QuerySession.Outcome) throws {
        let terminal = Terminal.error
        switch outcome {
        case .complete(let summary):
            if terminal.isInteractive, !summary.isEmpty { terminal.note(terminal.palette(.dim, summary)) }
        case .failed(let message, let status):
            terminal.note(terminal.palette(.boldRed, "error:") + " " + message)
            throw status.exitCode
        case .cancelled(let message):
            terminal.note(terminal.palette(.yellow, message))
            throw ExitReason.interrupted.exitCode
        }
    }
}
