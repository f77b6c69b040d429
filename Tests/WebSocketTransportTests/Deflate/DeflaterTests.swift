import NIOCore
import RandomSupport
import Testing

@testable import WebSocketTransport

@Suite struct DeflaterTests {
    @Test func `whatever is compressed comes back, with every window`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let inflater = try #require(Inflater())
        for windowBits in 9...15 {
            let deflater = try #require(Deflater(windowBits: windowBits))
            for length in [0, 1, 100, 5_000, 300_000] {
                let unit = generator.bytes(Int.random(in: 1...2_000, using: &generator))
                let message = ByteBuffer(bytes: (0..<length).map { unit[$0 % unit.count] })
                let compressed = try #require(deflater.deflate(message))
                var output = ByteBuffer()
                try compressed.withUnsafeReadableBytes { bytes throws(ProtocolViolation) in
                    try inflater.inflate(bytes, into: &output, maxBytes: length)
                }
                try inflater.finish(into: &output, maxBytes: length)
                inflater.reset()
                #expect(output == message, "seed \(seed), \(windowBits) bits, \(length) bytes")
            }
        }
    }

    @Test func `the same message gives the same bytes again, whatever came between`() throws {
        let deflater = try #require(Deflater())
        let message = ByteBuffer(string: String(repeating: "tables ", count: 100))
        let first = deflater.deflate(message)
        _ = deflater.deflate(ByteBuffer(string: String(repeating: "queries ", count: 100)))
        #expect(deflater.deflate(message) == first)
    }

    @Test func `small and incompressible messages are sent as they are, unless all are to be compressed`() {
        var generator = SeededGenerator(seed: 1)
        let noise = ByteBuffer(bytes: generator.bytes(1_000))
        let small = ByteBuffer(string: String(repeating: "a", count: 511))
        let compressor = MessageCompressor(windowBits: 15, minBytes: 512)
        #expect(compressor.frame(.text, small) == FrameEncoder.text(small))
        #expect(compressor.frame(.text, noise) == FrameEncoder.text(noise))
        let always = MessageCompressor(windowBits: 15, minBytes: 0)
        #expect(always.frame(.text, noise).getInteger(at: 0, as: UInt8.self) == 0xC1)
        #expect(always.frame(.text, small).readableBytes < 20)
    }
}
