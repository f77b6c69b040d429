import Testing

@testable import TablecastCommand

struct TrimPolicyTests {
    private let mebibyte = 1 << 20

    @Test func `growth is trimmed, and a process of constant size is not`() {
        var policy = TrimPolicy()
        let atStart = (0..<100).map { _ in policy.wantsTrim(bytes: 40 * mebibyte) }
        #expect(!atStart.contains(true))
        let grown = [50, 300].map { policy.wantsTrim(bytes: $0 * mebibyte) }
        #expect(grown == [false, true])
        policy.trimmed(from: 300 * mebibyte, to: 45 * mebibyte)
        let after = [45, 80].map { policy.wantsTrim(bytes: $0 * mebibyte) }
        #expect(after == [false, true])
    }

    @Test func `trimming is tried less and less often while memory is in use`() {
        var policy = TrimPolicy()
        _ = policy.wantsTrim(bytes: 40 * mebibyte)
        var looks: [Int] = []
        for look in 1...400 where policy.wantsTrim(bytes: 500 * mebibyte) {
            looks.append(look)
            policy.trimmed(from: 500 * mebibyte, to: 499 * mebibyte)
        }
        #expect(looks == [1, 3, 7, 15, 31, 63, 127, 191, 255, 319, 383])
    }
}
