//! Writes send protocol logs of any size, and prints what `certdrift check --format=json` must say about them.
//!
//! ```sh
//! cargo run --release --example generate -- --form=C --bytes=400MB --out=DIRECTORY
//! ```
//! The same arguments give the same bytes. Sessions interleave, straddle files and hours, fail, are rejected, come
//! without a certificate or with one of many; some rows are broken. Every fact is counted at the moment its row is
//! written, so the counts are exact by construction.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

mod dialogue;
mod tally;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use dialogue::{Dialogue, Dialogues};
use tally::Tally;

/// Exchange begins a new file at this size.
const ROLL_AT: u64 = 10_000_000;
/// One row in so many is followed by a broken one.
const BROKEN_EVERY: u64 = 50_000;
/// 2026-01-01T00:00:01.000Z in milliseconds since that midnight.
const START: u64 = 1_000;

/// Which of the three ways to write a certificate; see the format reference in the reader's own documentation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Exchange 2010 and 2013: a row per field, daily files, EHLO answers in rows.
    A,
    /// Exchange 2016 CU2: one row without dates.
    B,
    /// Later versions: one row with dates.
    C,
}

/// What was asked for.
struct Wanted {
    form: Form,
    bytes: u64,
    sessions: u64,
    connectors: usize,
    certificates: usize,
    /// Sessions that are open at the same time.
    live: usize,
    /// After how many sessions a connector moves on to its next certificate.
    renew_every: u64,
    seed: u64,
    out: PathBuf,
}

/// `SplitMix64`: small, fast, and the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// An index below `limit`.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }
}

fn main() -> ExitCode {
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match generate(&wanted) {
        Ok(tally) => {
            println!("{:#}", tally.document());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", wanted.out.display());
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        form: Form::C,
        bytes: 400_000_000,
        sessions: u64::MAX,
        connectors: 4,
        certificates: 20,
        live: 24,
        renew_every: 3_000,
        seed: 1,
        out: PathBuf::new(),
    };
    for argument in arguments {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match name {
            "--form" => {
                wanted.form = match value {
                    "A" => Form::A,
                    "B" => Form::B,
                    "C" => Form::C,
                    _ => return Err(format!("{argument}: the form is A, B or C")),
                }
            }
            "--bytes" => wanted.bytes = size(value)?,
            "--sessions" => wanted.sessions = number(value)?,
            "--connectors" => wanted.connectors = number(value)?,
            "--certificates" => wanted.certificates = number(value)?,
            "--live" => wanted.live = number(value)?,
            "--renew-every" => wanted.renew_every = number(value)?,
            "--seed" => wanted.seed = number(value)?,
            "--out" => wanted.out = PathBuf::from(value),
            _ => return Err(format!("{argument}: no such argument")),
        }
    }
    if wanted.out.as_os_str().is_empty()
        || [wanted.connectors, wanted.certificates].contains(&0)
        || wanted.renew_every == 0
    {
        return Err("--out=DIRECTORY is missing, or a count is 0".to_owned());
    }
    Ok(wanted)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    let (digits, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1));
    number::<u64>(digits).map(|count| count * unit)
}

fn generate(wanted: &Wanted) -> io::Result<Tally> {
    fs::create_dir_all(&wanted.out)?;
    let mut random = Random(wanted.seed);
    let mut dialogues = Dialogues::new(wanted.form, wanted.connectors, wanted.certificates);
    dialogues.renew_every = wanted.renew_every;
    let mut logs = Logs::new(wanted);
    let mut tally = Tally::default();
    let mut now = START;
    let mut started = 0;
    let mut live: Vec<Dialogue> = Vec::new();
    loop {
        while live.len() < wanted.live && started < wanted.sessions && logs.bytes < wanted.bytes {
            live.push(dialogues.next(&mut random));
            started += 1;
        }
        if live.is_empty() {
            break;
        }
        let at = random.index(live.len());
        if let Some(row) = live[at].write_next(now, &mut logs.row) {
            tally.note(now, &live[at], &row, &dialogues);
        }
        logs.write_row(now)?;
        if tally.rows.is_multiple_of(BROKEN_EVERY) {
            logs.row
                .extend_from_slice(b"2026-01-01T00:00:00.000Z,rows like,this,0,one are,broken\r\n");
            logs.write_row(now)?;
            tally.malformed_rows += 1;
        }
        if live[at].is_over() {
            live.swap_remove(at);
        }
        // No two rows at the same time: the order of the lists is then certain.
        now += 1 + random.below(3);
    }
    logs.finish()?;
    tally.files = logs.files;
    tally.bytes = logs.bytes;
    Ok(tally)
}

/// The files as Exchange names and rolls them.
struct Logs {
    out: PathBuf,
    daily: bool,
    /// Hour (or day) of the current file since the start, and its number within it.
    period: u64,
    number: u64,
    current: Option<BufWriter<File>>,
    current_bytes: u64,
    files: u64,
    bytes: u64,
    /// The row being written, used again for each.
    row: Vec<u8>,
}

impl Logs {
    fn new(wanted: &Wanted) -> Self {
        Self {
            out: wanted.out.clone(),
            daily: wanted.form == Form::A,
            period: 0,
            number: 0,
            current: None,
            current_bytes: 0,
            files: 0,
            bytes: 0,
            row: Vec::new(),
        }
    }

    fn write_row(&mut self, now: u64) -> io::Result<()> {
        let period = now / if self.daily { 86_400_000 } else { 3_600_000 };
        if self.current.is_none() || period != self.period || self.current_bytes >= ROLL_AT {
            self.roll(period, now)?;
        }
        let row = std::mem::take(&mut self.row);
        self.write(&row)?;
        self.row = row;
        self.row.clear();
        Ok(())
    }

    fn roll(&mut self, period: u64, now: u64) -> io::Result<()> {
        self.finish()?;
        self.number = if period == self.period {
            self.number + 1
        } else {
            1
        };
        self.period = period;
        let stamp = dialogue::stamp(now);
        let length = if self.daily { 10 } else { 13 };
        let name: String = stamp[..length]
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let path = self.out.join(format!("SEND{name}-{}.LOG", self.number));
        self.current = Some(BufWriter::with_capacity(1 << 20, File::create(path)?));
        self.current_bytes = 0;
        self.files += 1;
        let head = format!(
            "\u{feff}#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Send Protocol Log\r\n\
             #Date: {stamp}\r\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,\
             remote-endpoint,event,data,context\r\n"
        );
        self.write(head.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.current {
            file.write_all(bytes)?;
        }
        self.current_bytes += bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.current {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}
