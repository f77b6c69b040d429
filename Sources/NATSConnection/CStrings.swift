#if NATS
    /// C strings that exist during the call.
    func withCStrings<Result>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> Result) -> Result {
        var bytes: [CChar] = []
        let starts = strings.map { string in
            defer { bytes.append(contentsOf: string.utf8CString) }
            return bytes.count
        }
        return bytes.withUnsafeBufferPointer { buffer in
            body(starts.map { start in buffer.baseAddress.map { $0 + start } })
        }
    }
#endif
