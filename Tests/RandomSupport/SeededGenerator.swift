#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Pseudo-random numbers that are the same for the same seed on every machine, so that a failure can be reproduced:
/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c), which is in the public domain.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// A random seed, or the one in `TABLECAST_SEED`; printed so that a failure can be reproduced.
    package static func announced() -> SeededGenerator {
        let given = ProcessInfo.processInfo.environment["TABLECAST_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0 ... .max)
        print("TABLECAST_SEED=\(seed)")
        return SeededGenerator(seed: seed)
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// At least 0 and below the limit; 0 for a limit below 1.
    package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(max(1, limit))) }
    package mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// True so many times in a hundred.
    package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    package mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) }
        }
        return Array(bytes.prefix(count))
    }

    /// Letters, some of them longer than one byte.
    package mutating func text(_ count: Int) -> String {
        let letters = chance(10) ? Array("äöü€漢字😀abc") : Array("abcdefghijklmnopqrstuvwxyz ")
        return String((0..<count).map { _ in pick(letters) })
    }
}
