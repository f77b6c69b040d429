extension Channel {
    /// The channel of that name; the error lists the known ones.
    public init(parsing name: String) throws(ProtocolError) {
        guard let channel = Channel(rawValue: name) else {
            let known = Channel.allCases.map(\.rawValue).joined(separator: ", ")
            throw ProtocolError(.unknownChannel, "unknown channel \(quoted(name)): expected one of \(known)")
        }
        self = channel
    }

    /// Parses the `channels=tables,queries` of an address. Empty text is no channel.
    public static func parseList(_ text: String) throws(ProtocolError) -> [Channel] {
        var channels: [Channel] = []
        for name in text.split(separator: ",") {
            let channel = try Channel(parsing: String(name))
            if !channels.contains(channel) { channels.append(channel) }
        }
        return channels
    }
}
