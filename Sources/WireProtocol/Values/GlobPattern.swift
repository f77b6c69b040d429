/// A table's name, or a pattern for names, like [SQLite's
/// GLOB](https://sqlite.org/lang_expr.html#the_like_glob_regexp_match_and_extract_operators): `*` for any characters,
/// `?` for one, `[abc]`, `[a-z]` and `[^a-z]` for one of a set.
///
/// Unlike GLOB, the case of ASCII letters is ignored, as in table names; and a pattern that equals the name matches it,
/// so that a table called `a[1]` can be selected by its name. An unclosed bracket matches nothing else.
struct GlobPattern: Sendable, Hashable {
    /// The case-folded pattern.
    let text: String
    private let pattern: [Unicode.Scalar]

    init(_ text: String) {
        pattern = text.unicodeScalars.map(Self.fold)
        self.text = String(String.UnicodeScalarView(pattern))
    }

    var matchesEverything: Bool { !pattern.isEmpty && pattern.allSatisfy { $0 == "*" } }

    /// Takes time bounded by the product of both lengths: only the last `*` is ever tried again.
    func matches(_ name: String) -> Bool {
        let name = name.unicodeScalars.map(Self.fold)
        return name == pattern || matches(name)
    }

    private func matches(_ name: [Unicode.Scalar]) -> Bool {
        var inPattern = 0
        var inName = 0
        var star: (pattern: Int, name: Int)?
        while inName < name.count {
            if inPattern < pattern.count, pattern[inPattern] == "*" {
                star = (inPattern, inName)
                inPattern += 1
            } else if let next = matchOne(name[inName], at: inPattern) {
                inPattern = next
                inName += 1
            } else if let (lastPattern, lastName) = star {
                star = (lastPattern, lastName + 1)
                inPattern = lastPattern + 1
                inName = lastName + 1
            } else {
                return false
            }
        }
        return pattern[inPattern...].allSatisfy { $0 == "*" }
    }

    /// The index in the pattern after its element at `index`, when that matches `scalar`.
    private func matchOne(_ scalar: Unicode.Scalar, at index: Int) -> Int? {
        guard index < pattern.count else { return nil }
        switch pattern[index] {
        case "?": return index + 1
        case "[": return matchSet(scalar, from: index + 1)
        default: return pattern[index] == scalar ? index + 1 : nil
        }
    }

    private func matchSet(_ scalar: Unicode.Scalar, from start: Int) -> Int? {
        var index = start
        let isNegated = index < pattern.count && pattern[index] == "^"
        if isNegated { index += 1 }
        let first = index
        var isMember = false
        while index < pattern.count {
            // A bracket that comes first is a member.
            if pattern[index] == "]", index > first { return isMember != isNegated ? index + 1 : nil }
            if index + 2 < pattern.count, pattern[index + 1] == "-", pattern[index + 2] != "]" {
                if pattern[index] <= scalar, scalar <= pattern[index + 2] { isMember = true }
                index += 3
            } else {
                if pattern[index] == scalar { isMember = true }
                index += 1
            }
        }
        return nil
    }

    /// SQLite ignores the case of ASCII letters in table names.
    private static func fold(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar
    }
}
