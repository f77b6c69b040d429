package import NIOCore
import Synchronization
package import WireProtocol

/// A message as JSON, made once and shared by everybody who gets it. Thread-safe.
package final class EncodedMessage: Sendable {
    /// The whole envelope.
    package let json: ByteBuffer
    package let type: MessageType
    /// Where a client that has got this message can resume: set on the last message of a transaction alone, since after
    /// an earlier one the rest would be lost. An event stream sends it as `id`.
    package let resumePosition: Position?
    private let frames = Mutex<[(representation: Representation, bytes: ByteBuffer)]>([])

    package init(json: ByteBuffer, type: MessageType, resumePosition: Position? = nil) {
        self.json = json
        self.type = type
        self.resumePosition = resumePosition
    }

    /// Takes the bytes of a whole envelope out of a writer.
    package convenience init(_ writer: borrowing JSONWriter, type: MessageType, resumePosition: Position? = nil) {
        let json = writer.withUnsafeBytes { ByteBuffer(bytes: $0) }
        self.init(json: json, type: type, resumePosition: resumePosition)
    }

    package convenience init(_ header: EnvelopeHeader, _ data: some JSONWritable, resumePosition: Position? = nil) {
        var writer = JSONWriter()
        writer.envelope(header, data)
        self.init(writer, type: header.type, resumePosition: resumePosition)
    }

    /// The message framed for a kind of connection; made by whoever asks first, while others who want the same wait.
    func framed(for representation: Representation) -> ByteBuffer {
        frames.withLock { frames in
            if let known = frames.first(where: { $0.representation === representation }) { return known.bytes }
            let bytes = representation.frame(self)
            frames.append((representation, bytes))
            return bytes
        }
    }
}
