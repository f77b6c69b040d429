extension String {
    /// The text with everything visible that would move the cursor, change colours or turn the direction of writing.
    ///
    /// What a database holds is data of others: printed as it is, it could rewrite the lines above it.
    var printable: String {
        if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars { result.append(scalar.printable) }
        return String(result)
    }
}

extension Unicode.Scalar {
    fileprivate var printable: Unicode.Scalar {
        switch value {
        case 0x0A: "↵"
        case 0x09: "→"
        // The Control Pictures block draws each of the others by its name.
        case 0..<0x20: Unicode.Scalar(0x2400 + value) ?? "\u{FFFD}"
        case 0x7F: "␡"
        case 0x80..<0xA0: "\u{FFFD}"
        // Line and paragraph separator; marks, embeddings, overrides and isolates of the bidirectional algorithm.
        case 0x2028, 0x2029: "↵"
        case 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: "\u{FFFD}"
        default: self
        }
    }
}
