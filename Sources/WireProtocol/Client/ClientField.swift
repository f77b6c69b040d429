/// The names of the fields of clients' messages, for their reader and their writer.
enum ClientField: String, FieldName, CaseIterable {
    // The envelope.
    case id
    case type
    case channel
    case data

    // Subscriptions to a channel.
    case subscription
    case subscriptions
    case replaces
    case since
    case resumes
    case snapshot

    // The filter of a subscription to tables.
    case tables
    case operations
    case rows
    case condition = "where"
    case parameters = "params"
    case relay

    // Queries and live queries.
    case sql
    case queryID = "queryId"
    case rowFormat
    case maxRows
    case timeout
    case progressInterval
    case atomic
    case key

    // Written rows.
    case table
    case operation = "op"
    case rowid
    case before
    case values

    // Heartbeats.
    case afterReplay

    // Presence and identity.
    case username
    case token
    case position
    case selection
    case start
    case end
    case line
    case column
    case row
    case text
    case textOf

    var fieldName: String { rawValue }
}
