import WireProtocol

extension QueryCompletePayload {
    /// `5 rows in 12 ms`, `3 changes in 9 ms`, `done in 6 ms`.
    var summary: String {
        let parts = [
            rowCount > 0 ? Figures.counted(rowCount, "row") : nil,
            changes > 0 ? Figures.counted(changes, "change") : nil,
        ].compactMap { $0 }
        let what = parts.isEmpty ? "done" : parts.joined(separator: ", ")
        return what + " in " + Figures.seconds(.milliseconds(duration))
    }
}
