/// Decides of how large a file a ``ShadowCopy`` is kept.
struct ShadowLimit {
    let maxBytes: Int

    var megabytes: Int { maxBytes >> 20 }

    func isExceeded(by state: FileState) -> Bool { byteCount(of: state) > maxBytes }

    /// Well below the limit, so that a file about as large as it does not begin a new epoch again and again.
    func allowsCopyAgain(of state: FileState) -> Bool { byteCount(of: state) <= maxBytes / 4 * 3 }

    private func byteCount(of state: FileState) -> Int { Int(state.pageCount) * state.header.pageSize }
}
