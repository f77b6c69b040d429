-- A small music store. Every artist, album and customer is invented.
--
-- Build: sqlite3 music.db < music.sql (or tablecast serve music.db --init music.sql).
--
-- Money is in cents, times are UTC. The file is in WAL mode, so that readers and writers do not wait for each other.

PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;

BEGIN;

CREATE TABLE genre (
    genre_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE artist (
    artist_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    formed INTEGER CHECK (formed BETWEEN 1900 AND 2100)
);

CREATE TABLE album (
    album_id INTEGER PRIMARY KEY,
    artist_id INTEGER NOT NULL REFERENCES artist ON DELETE CASCADE,
    title TEXT NOT NULL,
    released TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    -- Computed when read; takes no room in the file.
    year INTEGER GENERATED ALWAYS AS (CAST(substr(released, 1, 4) AS INTEGER)) VIRTUAL
);
CREATE INDEX album_by_artist ON album (artist_id);

CREATE TABLE track (
    track_id INTEGER PRIMARY KEY,
    album_id INTEGER NOT NULL REFERENCES album ON DELETE CASCADE,
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    genre_id INTEGER REFERENCES genre ON DELETE SET NULL,
    milliseconds INTEGER NOT NULL CHECK (milliseconds > 0),
    price_cents INTEGER NOT NULL,
    plays INTEGER NOT NULL DEFAULT 0,
    duration TEXT GENERATED ALWAYS AS (
        printf('%d:%02d', milliseconds / 60000, milliseconds / 1000 % 60)
    ) VIRTUAL,
    UNIQUE (album_id, position)
);
CREATE INDEX track_by_genre ON track (genre_id);

CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    city TEXT,
    country TEXT
);

CREATE TABLE invoice (
    invoice_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer ON DELETE CASCADE,
    issued TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%S', 'now')),
    -- Kept by the triggers on invoice_line.
    total_cents INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX invoice_by_customer ON invoice (customer_id);

CREATE TABLE invoice_line (
    invoice_line_id INTEGER PRIMARY KEY,
    invoice_id INTEGER NOT NULL REFERENCES invoice ON DELETE CASCADE,
    track_id INTEGER NOT NULL REFERENCES track ON DELETE CASCADE,
    quantity INTEGER NOT NULL DEFAULT 1 CHECK (quantity > 0),
    price_cents INTEGER NOT NULL,
    -- Computed when written, and kept in the file.
    total_cents INTEGER GENERATED ALWAYS AS (quantity * price_cents) STORED
);
CREATE INDEX invoice_line_by_invoice ON invoice_line (invoice_id);
CREATE INDEX invoice_line_by_track ON invoice_line (track_id);

CREATE TABLE playlist (
    playlist_id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES customer ON DELETE SET NULL,
    name TEXT NOT NULL
);

CREATE TABLE playlist_track (
    playlist_id INTEGER NOT NULL REFERENCES playlist ON DELETE CASCADE,
    position INTEGER NOT NULL,
    track_id INTEGER NOT NULL REFERENCES track ON DELETE CASCADE,
    PRIMARY KEY (playlist_id, position)
) WITHOUT ROWID;
CREATE INDEX playlist_track_by_track ON playlist_track (track_id);

-- Find tracks by words of their title, in any script: SELECT … WHERE track_search MATCH 'paper*'.
CREATE VIRTUAL TABLE track_search USING fts5 (title, content = 'track', content_rowid = 'track_id');

CREATE TRIGGER track_search_insert AFTER INSERT ON track BEGIN
    INSERT INTO track_search (rowid, title) VALUES (new.track_id, new.title);
END;
CREATE TRIGGER track_search_delete AFTER DELETE ON track BEGIN
    INSERT INTO track_search (track_search, rowid, title) VALUES ('delete', old.track_id, old.title);
END;
CREATE TRIGGER track_search_update AFTER UPDATE OF title ON track BEGIN
    INSERT INTO track_search (track_search, rowid, title) VALUES ('delete', old.track_id, old.title);
    INSERT INTO track_search (rowid, title) VALUES (new.track_id, new.title);
END;

CREATE TRIGGER invoice_line_insert AFTER INSERT ON invoice_line BEGIN
    UPDATE invoice SET total_cents = total_cents + new.total_cents WHERE invoice_id = new.invoice_id;
    UPDATE track SET plays = plays + new.quantity WHERE track_id = new.track_id;
END;
CREATE TRIGGER invoice_line_delete AFTER DELETE ON invoice_line BEGIN
    UPDATE invoice SET total_cents = total_cents - old.total_cents WHERE invoice_id = old.invoice_id;
END;
CREATE TRIGGER invoice_line_update AFTER UPDATE OF quantity, price_cents ON invoice_line BEGIN
    UPDATE invoice SET total_cents = total_cents + new.total_cents - old.total_cents
    WHERE invoice_id = new.invoice_id;
END;

CREATE VIEW best_sellers AS
SELECT artist.name AS artist, album.title AS album, track.title AS track, sum(invoice_line.quantity) AS sold,
       sum(invoice_line.total_cents) / 100.0 AS revenue
FROM invoice_line
JOIN track USING (track_id)
JOIN album USING (album_id)
JOIN artist USING (artist_id)
GROUP BY track_id
ORDER BY sold DESC, revenue DESC;

INSERT INTO genre (genre_id, name) VALUES
    (1, 'Folk'),
    (2, 'Jazz'),
    (3, 'Electronic'),
    (4, 'Rock'),
    (5, 'Classical'),
    (6, 'Samba'),
    (7, 'Ambient'),
    (8, 'Brass'),
    (9, 'Chanson'),
    (10, 'Choral');

INSERT INTO artist (artist_id, name, country, formed) VALUES
    (1, 'Sólveig Þrastardóttir', 'Iceland', 1994),
    (2, 'Café Lumière Noire', 'France', 2003),
    (3, '三日月オーケストラ', 'Japan', 1999),
    (4, 'Os Ventos do Sul', 'Brazil', 1978),
    (5, 'ზღვის ხმა', 'Georgia', 2011),
    (6, 'The Paper Lanterns', 'Ireland', 1986),
    (7, 'Ηχώ και Σκιά', 'Greece', 2007),
    (8, 'Żółta Łódź', 'Poland', 2014),
    (9, 'Ngoni Électrique', 'Mali', 1991),
    (10, 'Sông Hương Trio', 'Vietnam', 2016),
    (11, 'Lucía Ñandú', 'Argentina', 2009),
    (12, 'राग मंडल', 'India', 1983),
    (13, 'Bitter Almond', 'United Kingdom', 2001),
    (14, 'Günther & die Gräser', 'Germany', 1996),
    (15, 'Mount Pleasant Brass', 'United States', 1972),
    (16, 'DJ Åska ⚡', 'Sweden', 2018);

INSERT INTO album (album_id, artist_id, title, released, price_cents) VALUES
    (1, 1, 'Norðurljós', '1996-10-26', 790),
    (2, 1, 'Silver Window', '1999-11-09', 1190),
    (3, 2, 'Où es-tu ?', '2005-11-13', 890),
    (4, 2, 'Harbour Tide', '2007-02-01', 890),
    (5, 3, '紙飛行機', '2001-04-21', 990),
    (6, 3, 'Quiet Tide', '2004-06-10', 1190),
    (7, 4, 'Coração de Vidro', '1980-05-11', 1190),
    (8, 4, 'Northern Letters', '1985-05-17', 990),
    (9, 4, 'Quiet Weather', '1988-10-17', 790),
    (10, 5, 'ვაზის სიმღერა', '2013-07-09', 990),
    (11, 5, 'Broken Letters', '2017-05-27', 1190),
    (12, 6, 'Amber Tide', '1988-11-01', 790),
    (13, 6, 'Slow Signal', '1990-12-18', 890),
    (14, 7, 'Μακριά', '2009-07-17', 1190),
    (15, 7, 'Slow Mirror', '2014-01-21', 890),
    (16, 7, 'Distant Rivers', '2015-09-13', 990),
    (17, 8, 'Łąka', '2016-05-18', 1190),
    (18, 8, 'Hollow Mirror', '2020-05-01', 990),
    (19, 8, 'Paper Bridges', '2024-07-25', 990),
    (20, 9, 'Slow Station', '1993-06-14', 990),
    (21, 9, 'Harbour Parade', '1996-04-27', 1290),
    (22, 10, 'Phố cổ', '2018-07-16', 990),
    (23, 10, 'Hollow Window', '2020-02-17', 790),
    (24, 11, 'Otoño', '2011-09-12', 1290),
    (25, 11, 'Winter Rivers', '2013-02-03', 1190),
    (26, 11, 'Scarlet Mirror', '2017-01-21', 790),
    (27, 12, 'यमन', '1985-04-10', 1290),
    (28, 12, 'Copper Engine', '1990-07-17', 1190),
    (29, 13, 'Northern Atlas', '2003-04-04', 790),
    (30, 13, 'Salt Almanac', '2005-11-07', 1190),
    (31, 13, 'Amber Kingdom', '2009-09-11', 1190),
    (32, 14, 'Weißdorn', '1998-08-14', 1290),
    (33, 14, 'Northern Lantern', '2001-05-06', 790),
    (34, 15, 'Hollow Lantern', '1974-06-08', 890),
    (35, 15, 'Amber Machine', '1979-02-10', 890),
    (36, 16, 'Morning Rain', '2020-11-07', 790),
    (37, 16, 'Glass Rivers', '2025-07-02', 1290),
    (38, 16, 'Paper Letters', '2025-06-26', 1290);

INSERT INTO track (track_id, album_id, position, title, genre_id, milliseconds, price_cents) VALUES
    (1, 1, 1, 'Snjór í maí', 1, 286458, 99),
    (2, 1, 2, 'Velvet Rain', 1, 499599, 99),
    (3, 1, 3, 'Æska', 1, 503447, 99),
    (4, 1, 4, 'Morning Window', 1, 125886, 79),
    (5, 1, 5, 'Paper Shore', 1, 401846, 129),
    (6, 1, 6, 'Copper Machine', 7, 364451, 99),
    (7, 1, 7, 'Þögn', 1, 252870, 129),
    (8, 1, 8, 'Hafið', 1, 405554, 79),
    (9, 2, 1, 'Lítil eyja', 1, 226705, 99),
    (10, 2, 2, 'Silver Shore', 1, 239564, 79),
    (11, 2, 3, 'Harbour Mirror', 1, 407071, 99),
    (12, 2, 4, 'Broken Lantern', 1, 214956, 99),
    (13, 2, 5, 'Distant Tide', 1, 208041, 79),
    (14, 2, 6, 'Velvet Parade', 9, 487790, 129),
    (15, 3, 1, 'Silver Station', 2, 225887, 99),
    (16, 3, 2, 'Golden Lantern', 2, 225700, 129),
    (17, 3, 3, 'L''Été dernier', 9, 365827, 79),
    (18, 3, 4, 'Naïveté', 9, 267574, 79),
    (19, 3, 5, 'Second Tide', 9, 470466, 99),
    (20, 3, 6, 'Demain, peut-être', 9, 512693, 99),
    (21, 3, 7, 'Rue des Écoles', 1, 505733, 99),
    (22, 3, 8, 'Le Cœur gros', 9, 225485, 99),
    (23, 4, 1, 'Winter Parade', 3, 458245, 129),
    (24, 4, 2, 'Paper Signal', 5, 178403, 99),
    (25, 4, 3, 'Broken Orchard', 6, 501213, 79),
    (26, 4, 4, 'Northern Mirror', 9, 460706, 99),
    (27, 4, 5, 'Winter Lantern', 9, 495627, 79),
    (28, 4, 6, 'Golden Tide', 9, 117733, 99),
    (29, 4, 7, 'Quiet Orchard', 9, 489339, 129),
    (30, 5, 1, '春一番', 3, 427145, 99),
    (31, 5, 2, 'Amber Bridges', 3, 143228, 99),
    (32, 5, 3, '月見坂', 3, 493454, 129),
    (33, 5, 4, 'Velvet Signal', 7, 284418, 99),
    (34, 5, 5, 'Glass Atlas', 3, 157006, 129),
    (35, 5, 6, '線香花火', 3, 119744, 99),
    (36, 5, 7, 'Quiet Signal', 3, 426586, 99),
    (37, 6, 1, '夜の電車', 3, 377882, 129),
    (38, 6, 2, 'Harbour Rivers', 3, 341667, 79),
    (39, 6, 3, '遠い灯台', 3, 510380, 99),
    (40, 6, 4, 'Slow Window', 3, 510870, 129),
    (41, 6, 5, '海辺の時計', 3, 214427, 129),
    (42, 6, 6, 'Slow Bridges', 3, 376335, 79),
    (43, 7, 1, 'Morning Bridges', 6, 363360, 79),
    (44, 7, 2, 'O Farol', 6, 249380, 99),
    (45, 7, 3, 'Scarlet Tide', 6, 339049, 129),
    (46, 7, 4, 'Morning Shore', 9, 402880, 99),
    (47, 7, 5, 'Golden Mirror', 10, 208290, 99),
    (48, 7, 6, 'Maré Alta', 6, 510030, 79),
    (49, 7, 7, 'Silver Lantern', 4, 380023, 129),
    (50, 7, 8, 'Saudade', 6, 136550, 79),
    (51, 8, 1, 'Chuva de Verão', 6, 288611, 79),
    (52, 8, 2, 'Amanhã', 6, 252238, 79),
    (53, 8, 3, 'Silver Almanac', 6, 501974, 99),
    (54, 8, 4, 'Midnight Weather', 6, 143460, 129),
    (55, 8, 5, 'Paper Kingdom', 6, 288121, 99),
    (56, 8, 6, 'Salt Engine', 6, 341930, 99),
    (57, 9, 1, 'Silver Kingdom', 6, 511405, 79),
    (58, 9, 2, 'Quiet Station', 6, 355413, 99),
    (59, 9, 3, 'Morning Almanac', 6, 255946, 129),
    (60, 9, 4, 'Copper Bridges', 6, 319818, 79),
    (61, 9, 5, 'Slow Lantern', 2, 355057, 99),
    (62, 9, 6, 'Copper Atlas', 1, 372276, 79),
    (63, 10, 1, 'Velvet Shore', 3, 338867, 99),
    (64, 10, 2, 'Winter Almanac', 10, 304977, 99),
    (65, 10, 3, 'გზა', 3, 245914, 99),
    (66, 10, 4, 'Copper Signal', 10, 196621, 129),
    (67, 10, 5, 'Salt Parade', 1, 97648, 129),
    (68, 10, 6, 'Hollow Garden', 6, 505320, 99),
    (69, 10, 7, 'ქარი', 10, 412253, 129),
    (70, 10, 8, 'Golden Garden', 10, 468172, 129),
    (71, 10, 9, 'მთვარე', 10, 213830, 79),
    (72, 11, 1, 'ძველი ქუჩა', 10, 323496, 99),
    (73, 11, 2, 'Silver Garden', 10, 294223, 99),
    (74, 11, 3, 'Winter Letters', 10, 199703, 129),
    (75, 11, 4, 'ზამთარი', 10, 169773, 79),
    (76, 11, 5, 'Midnight Bridges', 10, 326111, 79),
    (77, 11, 6, 'Northern Parade', 10, 335510, 79),
    (78, 11, 7, 'Salt Shore', 10, 505546, 99),
    (79, 11, 8, 'Glass Station', 7, 472439, 99),
    (80, 11, 9, 'Second Window', 10, 155190, 129),
    (81, 12, 1, 'Velvet Engine', 4, 272612, 99),
    (82, 12, 2, 'Golden Letters', 4, 439388, 129),
    (83, 12, 3, 'Amber Engine', 4, 466302, 99),
    (84, 12, 4, 'Harbour Lantern', 4, 338791, 99),
    (85, 12, 5, 'Distant Signal', 4, 418616, 99),
    (86, 12, 6, 'Midnight Signal', 4, 253920, 129),
    (87, 12, 7, 'Velvet Kingdom', 4, 310448, 129),
    (88, 13, 1, 'Golden Bridges', 4, 314700, 79),
    (89, 13, 2, 'Harbour Garden', 4, 179631, 79),
    (90, 13, 3, 'Amber Letters', 4, 146518, 99),
    (91, 13, 4, 'Salt Station', 2, 304993, 99),
    (92, 13, 5, 'Glass Engine', 10, 232953, 99),
    (93, 13, 6, 'Slow Garden', 4, 404893, 99),
    (94, 13, 7, 'Midnight Almanac', 4, 456327, 79),
    (95, 13, 8, 'Slow Engine', 4, 208964, 99),
    (96, 13, 9, 'Quiet Atlas', 1, 141450, 99),
    (97, 14, 1, 'Το παράθυρο', 7, 145875, 99),
    (98, 14, 2, 'Copper Parade', 7, 464159, 79),
    (99, 14, 3, 'Χάρτινο καράβι', 7, 467930, 129),
    (100, 14, 4, 'Νύχτα', 6, 222385, 129),
    (101, 14, 5, 'Morning Lantern', 7, 186108, 99),
    (102, 14, 6, 'Amber Parade', 7, 436997, 129),
    (103, 14, 7, 'Άνοιξη', 7, 177319, 99),
    (104, 14, 8, 'Harbour Weather', 7, 230951, 99),
    (105, 15, 1, 'Midnight Rain', 7, 514342, 79),
    (106, 15, 2, 'Amber Mirror', 1, 387317, 99),
    (107, 15, 3, 'Winter Weather', 6, 400252, 99),
    (108, 15, 4, 'Αλάτι', 7, 499198, 79),
    (109, 15, 5, 'Harbour Almanac', 7, 116838, 79),
    (110, 15, 6, 'Glass Rain', 7, 518639, 99),
    (111, 16, 1, 'Scarlet Signal', 5, 465911, 79),
    (112, 16, 2, 'Second Rivers', 7, 317679, 79),
    (113, 16, 3, 'Morning Parade', 7, 206555, 99),
    (114, 16, 4, 'Amber Garden', 7, 490614, 79),
    (115, 16, 5, 'Scarlet Window', 8, 211994, 99),
    (116, 16, 6, 'Second Station', 7, 459229, 99),
    (117, 16, 7, 'Hollow Bridges', 7, 271088, 99),
    (118, 16, 8, 'Harbour Letters', 7, 338586, 99),
    (119, 17, 1, 'Zeszłej zimy', 4, 454766, 129),
    (120, 17, 2, 'Golden Weather', 2, 473889, 79),
    (121, 17, 3, 'Quiet Bridges', 1, 250028, 99),
    (122, 17, 4, 'Cicha noc w Łodzi', 1, 135104, 99),
    (123, 17, 5, 'Broken Engine', 1, 509600, 79),
    (124, 17, 6, 'Silver Atlas', 1, 148843, 99),
    (125, 17, 7, 'Ćma', 1, 370347, 129),
    (126, 17, 8, 'Świt', 1, 428235, 129),
    (127, 18, 1, 'Second Parade', 4, 427474, 99),
    (128, 18, 2, 'Źródło', 1, 349484, 79),
    (129, 18, 3, 'Quiet Rain', 1, 421047, 99),
    (130, 18, 4, 'Amber Orchard', 1, 324512, 99),
    (131, 18, 5, 'Glass Letters', 1, 101803, 99),
    (132, 18, 6, 'Slow Weather', 1, 369306, 99),
    (133, 18, 7, 'Morning Mirror', 1, 410476, 99),
    (134, 19, 1, 'Salt Tide', 1, 341884, 79),
    (135, 19, 2, 'Distant Bridges', 1, 154114, 129),
    (136, 19, 3, 'Gęś', 1, 480977, 79),
    (137, 19, 4, 'Second Bridges', 1, 394081, 99),
    (138, 19, 5, 'Velvet Lantern', 4, 292788, 99),
    (139, 19, 6, 'Velvet Atlas', 7, 351449, 99),
    (140, 19, 7, 'Golden Rain', 1, 455153, 99),
    (141, 19, 8, 'Northern Signal', 1, 148522, 99),
    (142, 19, 9, 'Scarlet Almanac', 10, 213489, 99),
    (143, 20, 1, 'Amber Shore', 2, 328355, 99),
    (144, 20, 2, 'Paper Tide', 2, 369181, 79),
    (145, 20, 3, 'Copper Shore', 2, 171146, 99),
    (146, 20, 4, 'Midnight Letters', 6, 181708, 129),
    (147, 20, 5, 'Scarlet Orchard', 2, 339657, 99),
    (148, 20, 6, 'Glass Kingdom', 2, 472524, 99),
    (149, 21, 1, 'Broken Machine', 2, 428359, 129),
    (150, 21, 2, 'Hollow Weather', 2, 148352, 99),
    (151, 21, 3, 'Copper Station', 8, 513514, 79),
    (152, 21, 4, 'Slow Atlas', 2, 459509, 99),
    (153, 21, 5, 'Winter Window', 2, 422633, 99),
    (154, 21, 6, 'Winter Mirror', 2, 300507, 99),
    (155, 21, 7, 'Golden Window', 2, 231108, 99),
    (156, 21, 8, 'Hollow Kingdom', 2, 122088, 129),
    (157, 22, 1, 'Mưa trên sông', 2, 279587, 99),
    (158, 22, 2, 'Glass Machine', 2, 273206, 79),
    (159, 22, 3, 'Winter Rain', 1, 453882, 99),
    (160, 22, 4, 'Gió mùa', 4, 412226, 129),
    (161, 22, 5, 'Đèn lồng', 2, 105278, 99),
    (162, 22, 6, 'Chiều', 2, 412183, 99),
    (163, 22, 7, 'Broken Tide', 2, 124105, 129),
    (164, 23, 1, 'Hollow Station', 2, 382514, 129),
    (165, 23, 2, 'Midnight Machine', 2, 401922, 99),
    (166, 23, 3, 'Harbour Engine', 2, 268638, 79),
    (167, 23, 4, 'Glass Lantern', 8, 174699, 99),
    (168, 23, 5, 'Silver Orchard', 2, 131080, 79),
    (169, 23, 6, 'Broken Atlas', 2, 444892, 79),
    (170, 23, 7, 'Slow Orchard', 2, 257365, 99),
    (171, 24, 1, 'Quiet Letters', 5, 210134, 129),
    (172, 24, 2, 'Cenizas', 1, 342945, 99),
    (173, 24, 3, 'Golden Atlas', 1, 504250, 79),
    (174, 24, 4, 'La Niña y el Río', 1, 464314, 129),
    (175, 24, 5, 'Northern Station', 1, 451519, 99),
    (176, 24, 6, 'Salt Signal', 1, 306379, 79),
    (177, 24, 7, 'Ñandubay', 1, 365844, 99),
    (178, 24, 8, 'Señales', 1, 415806, 129),
    (179, 24, 9, 'Copper Window', 1, 508676, 99),
    (180, 25, 1, 'El Tranvía', 1, 470303, 99),
    (181, 25, 2, 'Scarlet Letters', 6, 313689, 79),
    (182, 25, 3, 'Silver Rivers', 1, 457813, 99),
    (183, 25, 4, 'Salt Orchard', 1, 432851, 99),
    (184, 25, 5, 'Broken Weather', 1, 413945, 129),
    (185, 25, 6, 'Slow Parade', 7, 325279, 99),
    (186, 26, 1, 'Winter Shore', 1, 204883, 99),
    (187, 26, 2, 'Copper Almanac', 1, 252204, 99),
    (188, 26, 3, 'Morning Engine', 1, 194085, 99),
    (189, 26, 4, 'Salt Atlas', 1, 287669, 99),
    (190, 26, 5, 'Broken Shore', 1, 168766, 99),
    (191, 26, 6, 'Broken Rivers', 1, 507044, 129),
    (192, 27, 1, 'Copper Letters', 10, 463591, 99),
    (193, 27, 2, 'Broken Kingdom', 10, 489308, 99),
    (194, 27, 3, 'दूर का घर', 5, 149466, 129),
    (195, 27, 4, 'Velvet Orchard', 5, 338082, 99),
    (196, 27, 5, 'Second Engine', 5, 254304, 129),
    (197, 27, 6, 'Velvet Window', 5, 180020, 99),
    (198, 27, 7, 'बारिश', 5, 520315, 129),
    (199, 28, 1, 'Midnight Engine', 6, 287727, 99),
    (200, 28, 2, 'Hollow Signal', 5, 358918, 79),
    (201, 28, 3, 'Harbour Window', 5, 283275, 99),
    (202, 28, 4, 'Quiet Almanac', 5, 379386, 129),
    (203, 28, 5, 'Glass Garden', 5, 380937, 99),
    (204, 28, 6, 'संध्या', 5, 508258, 99),
    (205, 28, 7, 'Slow Rain', 5, 466378, 79),
    (206, 29, 1, 'Velvet Garden', 4, 267884, 99),
    (207, 29, 2, 'Distant Kingdom', 10, 120136, 129),
    (208, 29, 3, 'Copper Lantern', 4, 250025, 99),
    (209, 29, 4, 'Slow Kingdom', 8, 354030, 129),
    (210, 29, 5, 'Second Mirror', 7, 235034, 99),
    (211, 29, 6, 'Glass Shore', 4, 106774, 79),
    (212, 29, 7, 'Harbour Signal', 4, 239585, 99),
    (213, 29, 8, 'Glass Parade', 4, 497992, 99),
    (214, 30, 1, 'Broken Window', 4, 291586, 79),
    (215, 30, 2, 'Midnight Shore', 4, 499284, 129),
    (216, 30, 3, 'Distant Engine', 4, 457940, 99),
    (217, 30, 4, 'Broken Garden', 4, 332873, 99),
    (218, 30, 5, 'Morning Orchard', 2, 166641, 99),
    (219, 30, 6, 'Harbour Shore', 4, 339628, 99),
    (220, 30, 7, 'Velvet Letters', 4, 447215, 99),
    (221, 31, 1, 'Hollow Parade', 10, 404507, 129),
    (222, 31, 2, 'Velvet Almanac', 4, 439496, 79),
    (223, 31, 3, 'Silver Signal', 4, 304366, 79),
    (224, 31, 4, 'Silver Weather', 4, 381859, 99),
    (225, 31, 5, 'Amber Rain', 4, 163730, 99),
    (226, 31, 6, 'Harbour Rain', 4, 315187, 129),
    (227, 32, 1, 'Öl und Wasser', 7, 230555, 99),
    (228, 32, 2, 'Broken Signal', 7, 354402, 99),
    (229, 32, 3, 'Midnight Garden', 7, 412082, 99),
    (230, 32, 4, 'Copper Mirror', 7, 322764, 79),
    (231, 32, 5, 'Übermorgen', 7, 325737, 99),
    (232, 32, 6, 'Quiet Engine', 6, 157506, 99),
    (233, 32, 7, 'Quiet Garden', 8, 429863, 99),
    (234, 32, 8, 'Frühlingsstraße', 2, 362993, 99),
    (235, 32, 9, 'Salt Letters', 7, 320500, 99),
    (236, 33, 1, 'Größer', 7, 117634, 99),
    (237, 33, 2, 'Paper Lantern', 7, 282625, 99),
    (238, 33, 3, 'Broken Station', 7, 315199, 99),
    (239, 33, 4, 'Mäßig schnell', 7, 137487, 79),
    (240, 33, 5, 'Glass Mirror', 7, 364817, 129),
    (241, 33, 6, 'Amber Rivers', 7, 329010, 79),
    (242, 33, 7, 'Salt Rain', 7, 194546, 79),
    (243, 33, 8, 'Distant Almanac', 7, 122434, 79),
    (244, 34, 1, 'Velvet Rivers', 8, 506385, 129),
    (245, 34, 2, 'Midnight Window', 8, 288324, 99),
    (246, 34, 3, 'Hollow Rivers', 8, 387850, 79),
    (247, 34, 4, 'Salt Kingdom', 8, 187638, 129),
    (248, 34, 5, 'Harbour Station', 8, 201298, 99),
    (249, 34, 6, 'Morning Garden', 8, 240830, 79),
    (250, 35, 1, 'Salt Window', 8, 497754, 129),
    (251, 35, 2, 'Quiet Machine', 8, 343702, 99),
    (252, 35, 3, 'Quiet Kingdom', 1, 486904, 79),
    (253, 35, 4, 'Winter Station', 8, 330650, 79),
    (254, 35, 5, 'Copper Rain', 8, 494230, 129),
    (255, 35, 6, 'Second Kingdom', 8, 277454, 129),
    (256, 35, 7, 'Northern Kingdom', 8, 175712, 99),
    (257, 35, 8, 'Winter Machine', 8, 192305, 99),
    (258, 35, 9, 'Harbour Kingdom', 8, 196263, 129),
    (259, 36, 1, 'Slow Tide', 3, 183828, 129),
    (260, 36, 2, 'Silver Tide', 3, 208784, 129),
    (261, 36, 3, 'Glass Bridges', 3, 449834, 99),
    (262, 36, 4, 'Hollow Letters', 3, 396829, 99),
    (263, 36, 5, 'Silver Mirror', 3, 518808, 129),
    (264, 36, 6, 'Harbour Atlas', 3, 113485, 99),
    (265, 37, 1, 'Paper Engine', 3, 400037, 99),
    (266, 37, 2, 'Broken Almanac', 3, 273397, 99),
    (267, 37, 3, 'Amber Weather', 2, 269088, 99),
    (268, 37, 4, 'Northern Orchard', 3, 431884, 79),
    (269, 37, 5, 'Golden Machine', 3, 174721, 79),
    (270, 37, 6, 'Second Shore', 3, 426010, 99),
    (271, 37, 7, 'Golden Almanac', 8, 510660, 79),
    (272, 37, 8, 'Midnight Parade', 3, 401037, 129),
    (273, 38, 1, 'Northern Bridges', 3, 198414, 99),
    (274, 38, 2, 'Silver Bridges', 10, 506546, 99),
    (275, 38, 3, 'Paper Rain', 3, 471949, 99),
    (276, 38, 4, 'Silver Rain', 2, 504301, 99),
    (277, 38, 5, 'Hollow Atlas', 8, 204174, 99),
    (278, 38, 6, 'Midnight Kingdom', 3, 228357, 99),
    (279, 38, 7, 'Glass Tide', 3, 442654, 99),
    (280, 38, 8, 'Paper Weather', 3, 440121, 99);

INSERT INTO customer (customer_id, name, email, city, country) VALUES
    (1, 'Amélie Rousseau', 'customer01@example.com', 'Lyon', 'France'),
    (2, 'Tomasz Wiśniewski', 'customer02@example.com', 'Kraków', 'Poland'),
    (3, 'Yuki 田中', 'customer03@example.com', '大阪', 'Japan'),
    (4, 'Siobhán O''Brien', 'customer04@example.com', 'Galway', 'Ireland'),
    (5, 'Ирина Соколова', 'customer05@example.com', 'Riga', 'Latvia'),
    (6, 'José Ángel Muñoz', 'customer06@example.com', 'Cádiz', 'Spain'),
    (7, 'Björk Jónsdóttir', 'customer07@example.com', 'Akureyri', 'Iceland'),
    (8, 'Nguyễn Thị Hoa', 'customer08@example.com', 'Huế', 'Vietnam'),
    (9, 'Aylin Çelik', 'customer09@example.com', 'İzmir', 'Türkiye'),
    (10, 'Zoë van der Berg', 'customer10@example.com', 'Utrecht', 'Netherlands'),
    (11, 'Emeka Okafor', 'customer11@example.com', 'Lagos', 'Nigeria'),
    (12, 'Priya Nair', 'customer12@example.com', 'Kochi', 'India'),
    (13, 'Łukasz Żak', 'customer13@example.com', 'Gdańsk', 'Poland'),
    (14, 'Ana Conceição', 'customer14@example.com', 'Porto', 'Portugal'),
    (15, 'Grace Whitfield', 'customer15@example.com', 'Bristol', 'United Kingdom'),
    (16, 'עדי לוי', 'customer16@example.com', 'חיפה', 'Israel'),
    (17, 'Mateo Núñez', 'customer17@example.com', 'Rosario', 'Argentina'),
    (18, 'Ingrid Sørensen', 'customer18@example.com', 'Bergen', 'Norway'),
    (19, 'Dimitris Παππάς', 'customer19@example.com', 'Θεσσαλονίκη', 'Greece'),
    (20, 'Maya Thompson', 'customer20@example.com', 'Portland', 'United States');

INSERT INTO playlist (playlist_id, customer_id, name) VALUES
    (1, 20, 'Rainy Sunday'),
    (2, 18, '夜のドライブ'),
    (3, 13, 'Pour travailler'),
    (4, 7, 'Kitchen dancing 💃'),
    (5, 8, 'Long train rides'),
    (6, 12, 'Schlaf gut');

INSERT INTO playlist_track (playlist_id, position, track_id) VALUES
    (1, 1, 137), (1, 2, 258), (1, 3, 97), (1, 4, 8), (1, 5, 117), (1, 6, 96), (1, 7, 245), (1, 8, 188),
    (1, 9, 176), (1, 10, 36), (1, 11, 112), (1, 12, 186), (1, 13, 207), (2, 1, 211), (2, 2, 43), (2, 3, 16),
    (2, 4, 169), (2, 5, 124), (2, 6, 243), (2, 7, 36), (2, 8, 70), (2, 9, 166), (2, 10, 266), (2, 11, 5),
    (3, 1, 235), (3, 2, 55), (3, 3, 238), (3, 4, 63), (3, 5, 79), (3, 6, 173), (3, 7, 106), (3, 8, 88),
    (3, 9, 112), (4, 1, 73), (4, 2, 36), (4, 3, 58), (4, 4, 72), (4, 5, 266), (4, 6, 249), (4, 7, 79),
    (4, 8, 230), (4, 9, 14), (4, 10, 247), (4, 11, 169), (4, 12, 203), (5, 1, 225), (5, 2, 106), (5, 3, 113),
    (5, 4, 31), (5, 5, 178), (5, 6, 80), (5, 7, 112), (5, 8, 118), (5, 9, 237), (6, 1, 213), (6, 2, 181),
    (6, 3, 165), (6, 4, 257), (6, 5, 243), (6, 6, 115), (6, 7, 227), (6, 8, 211);

-- Two years of sales, drawn by arithmetic so that every build gives the same file.
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
INSERT INTO invoice (invoice_id, customer_id, issued)
SELECT i, 1 + (i * 7 + i / 13) % 20,
       strftime('%Y-%m-%d %H:%M:%S', '2024-01-02 09:00:00', '+' || (i * 1163) || ' minutes')
FROM n;

WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2400)
INSERT INTO invoice_line (invoice_line_id, invoice_id, track_id, quantity, price_cents)
SELECT i, 1 + i * 3 / 8, track.track_id, 1 + (i % 11 = 0), track.price_cents
FROM n
-- A few tracks sell a lot, most of them a little.
JOIN track ON track.track_id = 1 + (i * 7919 % 1009) * (i * 104729 % 997) / 997 * 280 / 1009 * 97 % 280
WHERE 1 + i * 3 / 8 <= 900;

COMMIT;

ANALYZE;
