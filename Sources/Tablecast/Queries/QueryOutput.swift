/// Where the messages of one query go to its requester: a WebSocket connection, or the response to a request.
///
/// Called on the query's thread, in order; never blocks.
package protocol QueryOutput: AnyObject, Sendable {
    /// A `query:*` message without rows.
    func send(event json: [UInt8])
    /// A message with result rows; the bytes are valid within the call alone.
    func send(rows json: UnsafeRawBufferPointer)
    /// Whether the requester takes more rows now. After a no, the query's handle must be resumed in time.
    var isWritable: Bool { get }
    /// The query is over: no call follows.
    func finish()
}
