extension TableModifiedPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        switch change {
        case .schema(let schema):
            beginWriting(to: &writer, change: "schema")
            writer.field("previousName", schema.previousName)
            writer.field("sql", schema.sql)
            writer.field("columns", schema.columns)
            if let sources = schema.columnSources {
                writer.key("columnSources")
                writer.beginArray()
                for source in sources {
                    if let source { writer.number(source) } else { writer.null() }
                }
                writer.endArray()
            }
            writer.field("objects", schema.objects)
            endWriting(to: &writer)
        case .rows(let rows):
            writeRows(rows, to: &writer) { writer in
                writer.field("rows", rows.rows)
            }
        }
    }

    /// Writes a change of rows whose `rows` the caller writes from bytes of its own: the elements of the array, or nil for
    /// level `none`. Those in `counts` are not looked at.
    package func write(
        to writer: inout JSONWriter,
        counts: RowsModification,
        rows: ((inout JSONWriter) -> Void)?
    ) {
        writeRows(counts, to: &writer) { writer in
            guard let rows else { return }
            writer.key("rows")
            writer.beginArray()
            rows(&writer)
            writer.endArray()
        }
    }

    private func writeRows(
        _ counts: RowsModification,
        to writer: inout JSONWriter,
        _ rows: (inout JSONWriter) -> Void
    ) {
        beginWriting(to: &writer, change: "rows")
        writer.field("inserted", counts.inserted)
        writer.field("updated", counts.updated)
        writer.field("deleted", counts.deleted)
        rows(&writer)
        writer.field("rowsOmitted", counts.rowsOmitted)
        writer.field("columnsOmitted", counts.columnsOmitted)
        endWriting(to: &writer)
    }

    private func beginWriting(to writer: inout JSONWriter, change: StaticString) {
        writer.beginObject()
        writer.field("tableName", tableName)
        writer.field("timestamp", timestamp)
        writer.key("change")
        writer.string(change)
    }

    private func endWriting(to writer: inout JSONWriter) {
        writer.fields(context)
        writer.endObject()
    }
}

extension SchemaObjectPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("action", action.rawValue)
        writer.field("kind", kind.rawValue)
        writer.field("name", name)
        writer.field("sql", sql)
        writer.endObject()
    }
}
