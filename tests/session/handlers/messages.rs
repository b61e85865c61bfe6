//! Messages that say they join a room, in forms that readers read in different ways.

/// An endless row of messages, the same for the same seed.
pub struct Messages {
    state: u64,
    mode: &'static str,
}

const NAMES: &[&str] = &[
    "type",
    "type",
    "type",
    "op",
    "op",
    "op",
    "room",
    "room",
    "room",
    "room",
    "method",
    "params",
    "Type",
    "OP",
    "ROOM",
    "Room",
    "\\u0074ype",
    "r\\u006fom",
    "type\\u0000",
    "t\\u0000ype",
    "__proto__",
    "\\u005f_proto__",
    "constructor",
    "data",
    "",
    "0",
    "1",
    "x",
    "type ",
    "\\ud800",
    "ty\\u017fpe",
    "para\\u006ds",
    "METHOD",
];

const VALUES: &[&str] = &[
    "\"join\"",
    "\"join\"",
    "\"join\"",
    "[\"join\"]",
    "[[\"join\"]]",
    "\"jo\\u0069n\"",
    "\"JOIN\"",
    "\"join \"",
    "\"join\\u0000\"",
    "\"jo\\ud800in\"",
    "\"\\ud800\"",
    "\"say\"",
    "\"0\"",
    "1",
    "1",
    "1",
    "1.0",
    "1e0",
    "10e-1",
    "0.1e1",
    "\"1\"",
    "\"01\"",
    "\" 1 \"",
    "\"1.0\"",
    "\"0x1\"",
    "\"1e0\"",
    "[1]",
    "[\"1\"]",
    "true",
    "false",
    "null",
    "1.5",
    "1.9999999999999999",
    "4294967297",
    "18446744073709551617",
    "1e400",
    "-1",
    "0",
    "-0",
    "0.0",
    "0e9",
    "\"\"",
    "[]",
    "{}",
    "2",
    "0.4",
    "-4294967296",
    "9007199254740993",
    "\"phx_join\"",
    "\"secret\"",
    "\"secret\"",
    "\"secret\"",
    "\"key:a\"",
    "\"key:a\"",
    "\"sec\\u0072et\"",
    "[\"secret\"]",
    "[\"key:a\",\"secret\"]",
    "{\"room\":\"secret\"}",
    "{\"0\":\"secret\"}",
    "{\"type\":\"join\"}",
    "{\"type\":\"join\",\"room\":\"secret\"}",
    "{\"op\":1}",
    "{\"toString\":\"join\"}",
    "{\"valueOf\":1}",
    "\"{\\\"type\\\":\\\"join\\\",\\\"room\\\":\\\"secret\\\"}\"",
    "7",
    "7.0",
    "NaN",
    "Infinity",
];

const SPACES: &[&str] =
    &["", "", "", "", " ", "\n", "\t", "\r\n", "\u{a0}", "\u{b}", "\u{feff}", "/**/"];

impl Messages {
    pub fn new(seed: u64, mode: &'static str) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, mode }
    }

    /// Below `end`. SplitMix64.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn space(&mut self) -> &'static str {
        if self.one_in(12) { self.pick(SPACES) } else { "" }
    }

    fn object(&mut self) -> String {
        let mut members: Vec<(String, String)> = Vec::new();
        // Most say something that some reader reads.
        let said = match (self.mode, self.below(4)) {
            ("zero", 0..3) => vec![("op", "0"), ("room", "\"secret\"")],
            (_, 0) => vec![("type", "\"join\""), ("room", "\"secret\"")],
            (_, 1) => vec![("op", "1"), ("room", "\"secret\"")],
            (_, 2) => vec![("method", "\"join\""), ("params", "[\"secret\"]")],
            _ => vec![],
        };
        for (name, value) in said {
            let name = if self.one_in(4) { self.pick(NAMES) } else { name };
            let value = if self.one_in(3) { self.pick(VALUES) } else { value };
            members.push((name.to_owned(), value.to_owned()));
        }
        for _ in 0..self.below(3) {
            let at = self.below(members.len() + 1);
            let value = if self.one_in(8) { self.object() } else { self.pick(VALUES).to_owned() };
            members.insert(at, (self.pick(NAMES).to_owned(), value));
        }
        let mut text = format!("{}{{", self.space());
        for (at, (name, value)) in members.into_iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let (before, behind) = (self.space(), self.space());
            text += &format!("{comma}{before}\"{name}\"{behind}:{before}{value}");
        }
        if self.one_in(40) {
            text.push(',');
        }
        text + self.space() + "}" + self.space()
    }

    /// `[join_ref, ref, topic, event, payload]`
    fn list(&mut self) -> String {
        let mut entries: Vec<String> =
            ["\"1\"", "\"1\"", "\"secret\"", "\"phx_join\"", "{}"].map(str::to_owned).into();
        for entry in &mut entries {
            if self.one_in(6) {
                *entry = self.pick(VALUES).to_owned();
            }
        }
        for _ in 0..self.below(3) / 2 {
            let at = self.below(entries.len());
            entries.remove(at);
        }
        if self.one_in(10) {
            let members = entries.iter().enumerate().map(|(at, entry)| format!("\"{at}\":{entry}"));
            return format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        }
        format!("{}[{}]{}", self.space(), entries.join(","), self.space())
    }

    fn packet(&mut self) -> String {
        let kind = self.pick(&["42", "42", "42", "45", "451-", "43", "40", "4 2", "5", "b4"]);
        let space = self.pick(&["", "", "", "/", "/chat,", "/a{b,", "/a["]);
        let number = self.pick(&["", "", "1", "17", " ", "x", "1-", "0x1"]);
        let event = if self.one_in(4) { self.pick(VALUES) } else { "\"join\"" };
        let room = if self.one_in(4) { self.pick(VALUES) } else { "\"secret\"" };
        let argument = match self.below(8) {
            0 => format!("[{{\"room\":{room}}}]"),
            1 => self.object(),
            2 => self.pick(VALUES).to_owned(),
            3 => format!("{{\"Room\":{room}}}"),
            _ => format!("{{\"room\":{room}}}"),
        };
        format!("{kind}{space}{number}[{event},{argument}]{}", self.space())
    }

    /// The same in another form.
    fn wrapped(&mut self, text: String) -> Vec<u8> {
        let text = match self.below(14) {
            0 => format!("[{text}]"),
            1 => format!("[[{text}]]"),
            2 => serde_json::to_string(&text).unwrap(),
            3 => format!("[{}]", serde_json::to_string(&text).unwrap()),
            4 => format!("[{{}},{text}]"),
            5 => format!("[{text},1]"),
            6 => format!("{{\"type\":\"say\"}}\n{text}"),
            7 => format!("{text}{}", self.pick(&["x", "\0", "\u{1e}", "}", "\n{}", ";", "{}"])),
            8 => format!(
                "{}{text}",
                self.pick(&["\u{feff}", "\u{feff}\u{feff}", "x", "//\n", ")]}',\n"])
            ),
            _ => text,
        };
        match self.below(30) {
            0 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            1 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            2 | 3 => {
                let mut bytes = text.into_bytes();
                let at = self.below(bytes.len() + 1);
                let byte = [0xFF, 0x00, 0x01, 0xC0, 0x80, b'\\', b'"', b' '][self.below(8)];
                bytes.insert(at, byte);
                bytes
            }
            4 => {
                let mut bytes = text.into_bytes();
                let at = self.below(bytes.len());
                bytes.remove(at);
                bytes
            }
            _ => text.into_bytes(),
        }
    }
}

impl Iterator for Messages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let text = match self.mode {
            "list" => self.list(),
            "packet" => self.packet(),
            _ => self.object(),
        };
        Some(self.wrapped(text))
    }
}
