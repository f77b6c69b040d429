import Testing

@testable import TablecastCommand

struct TrimPolicyTests {
    private let mebibyte = 1 << 20

    @Test func `growth is trimmed, and a process of one size is left alone`() {
        var policy = TrimPolicy()
        for _ in 0..<100 { #expect(!policy.wantsTrim(bytes: 40 * mebibyte)) }
        #expect(!policy.wantsTrim(bytes: 50 * mebibyte))
        #expect(policy.wantsTrim(bytes: 300 * mebibyte))
        policy.trimmed(from: 300 * mebibyte, to: 45 * mebibyte)
        #expect(!policy.wantsTrim(bytes: 45 * mebibyte))
        #expect(policy.wantsTrim(bytes: 80 * mebibyte))
    }

    @Test func `memory in use is asked for less and less often`() {
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
