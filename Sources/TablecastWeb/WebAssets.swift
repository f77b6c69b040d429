/// The web page and the JavaScript client, embedded in the binary: a path in, bytes and headers out.
///
/// A Sendable value without I/O; build one and keep it. It knows no HTTP library: the router that serves it copies the headers.
package struct WebAssets: Sendable {
    private let assets: [String: Asset]

    package init() {
        assets = Dictionary(uniqueKeysWithValues: Self.files.map { ($0.path, Asset(path: $0.path, bytes: $0.bytes)) })
    }

    /// Every served path, in no particular order.
    package var paths: some Collection<String> { assets.keys }

    /// The file at a request's path (without query, percent-decoded), or nil: answer 404.
    package func asset(at path: String) -> Asset? { assets[path] }
}

extension WebAssets {
    /// One embedded file, ready to serve.
    package struct Asset: Sendable {
        package let bytes: [UInt8]
        package let contentType: String
        /// Strong entity tag, in its quotes.
        package let entityTag: String

        init(path: String, bytes: [UInt8]) {
            self.bytes = bytes
            contentType = Self.contentType(of: path)
            entityTag = Self.entityTag(of: bytes)
        }

        /// All response headers except `Content-Length`.
        package var headers: [(name: String, value: String)] {
            [
                ("Content-Type", contentType),
                ("ETag", entityTag),
                ("Cache-Control", "no-cache"),  // revalidate each time: a new binary must not run with an old page
            ] + WebAssets.securityHeaders
        }

        /// Whether a request's `If-None-Match` names this version, so that 304 is the answer (RFC 9110 section 13.1.2).
        package func matches(ifNoneMatch field: String) -> Bool {
            field.split(separator: ",").contains { candidate in
                var tag = candidate.drop { $0 == " " }
                while tag.last == " " { tag.removeLast() }
                if tag.hasPrefix("W/") { tag.removeFirst(2) }
                return tag == "*" || tag == entityTag
            }
        }
    }

    /// Scripts, styles and connections of this origin alone, nothing inline, no strings turned into markup, no framing.
    package static let securityHeaders: [(name: String, value: String)] = [
        (
            "Content-Security-Policy",
            """
            default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
            form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'
            """
        ),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
}

extension WebAssets {
    private static let files: [(path: String, bytes: [UInt8])] = [
        ("/", PackageResources.index_html),
        ("/tablecast.js", PackageResources.tablecast_js),
        ("/tablecast.d.ts", PackageResources.tablecast_d_ts),
        ("/tablecast-core.js", PackageResources.tablecast_core_js),
        ("/tablecast-live.js", PackageResources.tablecast_live_js),
        ("/tablecast-presence.js", PackageResources.tablecast_presence_js),
        ("/tablecast-query.js", PackageResources.tablecast_query_js),
        ("/tablecast-react.js", PackageResources.tablecast_react_js),
        ("/tablecast-react.d.ts", PackageResources.tablecast_react_d_ts),
        ("/tablecast-refusal.js", PackageResources.tablecast_refusal_js),
        ("/tablecast-subscription.js", PackageResources.tablecast_subscription_js),
        ("/tablecast-table.js", PackageResources.tablecast_table_js),
        ("/tablecast-values.js", PackageResources.tablecast_values_js),
        ("/assets/activity.js", PackageResources.activity_js),
        ("/assets/app.js", PackageResources.app_js),
        ("/assets/catalog.js", PackageResources.catalog_js),
        ("/assets/cell-dialog.js", PackageResources.cell_dialog_js),
        ("/assets/cell-editor.js", PackageResources.cell_editor_js),
        ("/assets/change-list.js", PackageResources.change_list_js),
        ("/assets/chart.js", PackageResources.chart_js),
        ("/assets/collations.js", PackageResources.collations_js),
        ("/assets/completion.js", PackageResources.completion_js),
        ("/assets/connection-view.js", PackageResources.connection_view_js),
        ("/assets/dom.js", PackageResources.dom_js),
        ("/assets/drafts.js", PackageResources.drafts_js),
        ("/assets/editor.js", PackageResources.editor_js),
        ("/assets/edits.js", PackageResources.edits_js),
        ("/assets/export.js", PackageResources.export_js),
        ("/assets/feed-view.js", PackageResources.feed_view_js),
        ("/assets/feed.js", PackageResources.feed_js),
        ("/assets/filters.js", PackageResources.filters_js),
        ("/assets/format.js", PackageResources.format_js),
        ("/assets/frame.js", PackageResources.frame_js),
        ("/assets/icon.svg", PackageResources.icon_svg),
        ("/assets/layout.css", PackageResources.layout_css),
        ("/assets/live-result.js", PackageResources.live_result_js),
        ("/assets/live-results.js", PackageResources.live_results_js),
        ("/assets/live-rows.js", PackageResources.live_rows_js),
        ("/assets/location.js", PackageResources.location_js),
        ("/assets/open-table.js", PackageResources.open_table_js),
        ("/assets/paged-rows.js", PackageResources.paged_rows_js),
        ("/assets/pager.js", PackageResources.pager_js),
        ("/assets/parameters.js", PackageResources.parameters_js),
        ("/assets/people.js", PackageResources.people_js),
        ("/assets/queries-view.js", PackageResources.queries_view_js),
        ("/assets/queries.css", PackageResources.queries_css),
        ("/assets/query-cards.js", PackageResources.query_cards_js),
        ("/assets/query-log.js", PackageResources.query_log_js),
        ("/assets/query-plan.js", PackageResources.query_plan_js),
        ("/assets/results.js", PackageResources.results_js),
        ("/assets/row-dialogs.js", PackageResources.row_dialogs_js),
        ("/assets/rows-table.js", PackageResources.rows_table_js),
        ("/assets/schema-view.js", PackageResources.schema_view_js),
        ("/assets/service.js", PackageResources.service_js),
        ("/assets/shortcuts.js", PackageResources.shortcuts_js),
        ("/assets/sql.js", PackageResources.sql_js),
        ("/assets/storage.js", PackageResources.storage_js),
        ("/assets/table-view.js", PackageResources.table_view_js),
        ("/assets/tables-view.js", PackageResources.tables_view_js),
        ("/assets/tables.css", PackageResources.tables_css),
        ("/assets/theme.css", PackageResources.theme_css),
        ("/assets/theme.js", PackageResources.theme_js),
        ("/assets/token-dialog.js", PackageResources.token_dialog_js),
        ("/assets/values.js", PackageResources.values_js),
        ("/assets/virtual-cursor.js", PackageResources.virtual_cursor_js),
        ("/assets/virtual-table.js", PackageResources.virtual_table_js),
    ]
}

extension WebAssets.Asset {
    private static func contentType(of path: String) -> String {
        switch path.split(separator: ".").last {
        case "js": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "ts": "text/plain; charset=utf-8"
        case "svg": "image/svg+xml"
        default: "text/html; charset=utf-8"
        }
    }

    /// FNV-1a of the bytes: it distinguishes versions and need not be collision-resistant.
    private static func entityTag(of bytes: [UInt8]) -> String {
        let hash = bytes.reduce(into: UInt64(0xcbf2_9ce4_8422_2325)) { hash, byte in
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return "\"\(String(hash, radix: 16))\""
    }
}
