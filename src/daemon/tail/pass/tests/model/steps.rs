//! What can happen to the files, to the share and to the process.

use std::io;

use super::*;

/// One step of a program; the numbers choose among what is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Append(u8, u8),
    AppendHalf(u8, u8),
    Roll(u8),
    DeleteOldest,
    Recreate(u8),
    Rename(u8, u8),
    Copy(u8, u8),
    Unmount(bool),
    Remount,
    Truncate(u8, u8),
    Rewrite(u8, u8),
    Stale(u8, u8),
    NulTail(u8),
    FillNuls,
    LateFile(u8),
    LongLine(u8),
    Fault(u8, u8),
    Heal,
    Crash(u8),
    Wait(u8),
}

impl Step {
    pub(super) fn read((kind, a, b): (u8, u8, u8)) -> Self {
        match kind {
            0..=9 => Self::Append(a, b),
            10..=13 => Self::AppendHalf(a, b),
            14..=17 => Self::Roll(b),
            18..=20 => Self::DeleteOldest,
            21..=22 => Self::Recreate(b),
            23..=25 => Self::Rename(a, b),
            26..=27 => Self::Copy(a, b),
            28..=29 => Self::Unmount(a % 2 == 0),
            30..=33 => Self::Remount,
            34 => Self::Truncate(a, b),
            35..=36 => Self::Rewrite(a, b),
            37..=38 => Self::Stale(a, b),
            39..=40 => Self::NulTail(a),
            41..=42 => Self::FillNuls,
            43 => Self::LateFile(b),
            44 => Self::LongLine(a),
            45..=48 => Self::Fault(a, b),
            49..=51 => Self::Heal,
            52..=57 => Self::Crash(a),
            _ => Self::Wait(a),
        }
    }
}

impl Model {
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Append(choice, count) => {
                if let Some(path) = self.pick(choice) {
                    let rows = self.rows(count % 3 + 1);
                    self.write(&path, &rows);
                }
            }
            Step::AppendHalf(choice, cut) => {
                if let Some(path) = self.pick(choice) {
                    let row = self.row();
                    let cut = usize::from(cut) % row.len();
                    self.write(&path, &row[..cut]);
                    if cut > 0 {
                        self.pens.get_mut(&path).unwrap().rest = row[cut..].to_vec();
                    }
                }
            }
            Step::Roll(count) => self.roll(count),
            Step::DeleteOldest => {
                let originals = self.originals();
                let oldest = originals
                    .iter()
                    .filter(|path| !(self.is_vague(path) && self.has_copies(path)))
                    .min_by_key(|path| LogName::read(path.file_name().unwrap()));
                if let Some(path) = oldest {
                    self.delete(&path.clone());
                }
            }
            Step::Recreate(count) => {
                if let Some(path) = self
                    .pick(0)
                    .filter(|path| !self.is_faulty(path) && !self.is_vague(path))
                {
                    self.delete(&path);
                    let bytes = self.fresh(count % 3);
                    self.create(path, bytes);
                }
            }
            Step::Rename(choice, number) => self.rename(choice, number),
            Step::Copy(choice, number) => self.copy(choice, number),
            Step::Unmount(fails) => {
                self.world
                    .0
                    .borrow_mut()
                    .unmounted
                    .insert(PathBuf::from(LOGS), fails);
            }
            Step::Remount => {
                let mut tree = self.world.0.borrow_mut();
                tree.unmounted.clear();
                *tree.directories.get_mut(Path::new(LOGS)).unwrap() += 7;
            }
            Step::Truncate(choice, cut) => self.truncate(choice, cut),
            Step::Rewrite(choice, count) => {
                if let Some(path) = self
                    .pick(choice)
                    .filter(|path| !self.is_faulty(path) && !self.is_vague(path))
                {
                    self.bury(&path);
                    let bytes = self.fresh(count % 6 + 1);
                    *self.content(&path).borrow_mut() = Inode {
                        bytes,
                        ..Inode::default()
                    };
                    self.pens.insert(path, Pen::default());
                    self.promote();
                }
            }
            Step::Stale(choice, part) => self.stale_size(choice, part),
            Step::NulTail(choice) => self.nul_tail(choice),
            Step::FillNuls => self.fill_nuls(),
            Step::LateFile(count) => {
                let path = Self::log(LOGS, u32::from(count % 8));
                let tree = self.world.0.borrow();
                // What takes the place of a file that cannot be read is taken for it.
                let is_free = !tree.files.contains_key(&path) && !tree.faults.contains_key(&path);
                drop(tree);
                if is_free {
                    let bytes = self.fresh(count % 3 + 1);
                    self.create(path, bytes);
                }
            }
            Step::LongLine(choice) => {
                if let Some(path) = self.pick(choice) {
                    // As rows do, lines hold what no other line has.
                    let id = format!("{:016X}", self.next_row).into_bytes();
                    self.next_row += 1;
                    let length = crate::pipeline::lines::MAX_LINE_BYTES + 10;
                    let mut line: Vec<u8> = id.into_iter().cycle().take(length).collect();
                    line.extend(b"\r\n");
                    self.write(&path, &line);
                }
            }
            Step::Fault(choice, kind) => self.fault(choice, kind),
            Step::Heal => self.world.0.borrow_mut().faults.clear(),
            Step::Crash(after) => self.crash = Some(usize::from(after % 8)),
            Step::Wait(time) => self.wait([1, 2, 5, 12, 35, 130, 700][usize::from(time) % 7]),
        }
    }

    /// Whether it begins with header lines and NUL bytes. Nobody can tell whether something else with the same header lines
    /// is another file, or an old copy of one that is gone; real header lines hold the time to the millisecond.
    fn is_vague(&self, path: &Path) -> bool {
        let content = self.content(path);
        let bytes = &content.borrow().bytes;
        let nul = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        nul < bytes.len() && memchr::memmem::find(&bytes[..nul], b"\n2026-").is_none()
    }

    fn stale_size(&mut self, choice: u8, part: u8) {
        let uncut = |path: &PathBuf| !self.content(path).borrow().cut && self.is_settled(path);
        if let Some(path) = self.pick(choice).filter(uncut) {
            let size = self.content(&path).borrow().bytes.len() as u64;
            let stale = size * u64::from(part) / 255;
            self.stale.insert(path.clone(), self.seconds);
            // The size that was seen before it lied may have been taken for that of a file that was there before.
            let content = self.content(&path);
            let kept = self.kept_size(&content.borrow().bytes);
            let mut content = content.borrow_mut();
            content.shown = content.shown.min(kept);
            drop(content);
            let mut tree = self.world.0.borrow_mut();
            tree.faults.insert(path, Fault::Stale(stale));
        }
    }

    fn nul_tail(&mut self, choice: u8) {
        // NUL bytes where NUL bytes were before a cut look the same.
        let uncut = |path: &PathBuf| !self.content(path).borrow().cut;
        if let Some(path) = self.pick(choice).filter(uncut) {
            // Some reach beyond what a file is known by.
            let fill = self.rows(if choice % 4 == 3 { 60 } else { 8 });
            let pen = self.pens.get_mut(&path).unwrap();
            pen.rest.clear();
            let is_line = self.content(&path).borrow().bytes.ends_with(b"\n");
            let nuls = vec![0; fill.len()];
            self.content(&path).borrow_mut().bytes.extend(nuls);
            let pen = self.pens.get_mut(&path).unwrap();
            pen.fill = is_line.then_some((fill, self.seconds));
        }
    }

    fn fill_nuls(&mut self) {
        let now = self.seconds;
        for (path, pen) in &mut self.pens {
            if let Some((fill, since)) = pen.fill.take()
                && now - since < 500
                && let Some(content) = self.world.0.borrow().files.get(path)
            {
                let mut content = content.borrow_mut();
                let start = content.bytes.len() - fill.len();
                content.bytes[start..].copy_from_slice(&fill);
                // Nobody has seen these as text.
                content.told = content.told.min(start as u64);
                content.shown = content.shown.min(start as u64);
            }
        }
    }

    fn rename(&mut self, choice: u8, number: u8) {
        let Some(path) = self.pick(choice) else {
            return;
        };
        let directory = if number.is_multiple_of(3) {
            OTHER
        } else {
            LOGS
        };
        let to = Self::log(directory, u32::from(number) + 100);
        // A file of which nothing could be read is known by its name only.
        let is_known = self
            .committed
            .knows(known_by(&self.content(&path).borrow().bytes))
            && !self.is_faulty(&path)
            && !self.content(&path).borrow().cut;
        if self.world.0.borrow().files.contains_key(&to) || !is_known {
            return;
        }
        let mut tree = self.world.0.borrow_mut();
        let content = tree.files.remove(&path).unwrap();
        tree.files.insert(to.clone(), content);
        drop(tree);
        let pen = self.pens.remove(&path).unwrap();
        self.pens.insert(to, pen);
    }

    fn copy(&mut self, choice: u8, number: u8) {
        let Some(path) = self.pick(choice) else {
            return;
        };
        let to = match number % 2 {
            0 => Self::log(OTHER, u32::from(number)),
            _ => Path::new(LOGS).join(format!("SEND2026010100-{number} - Copy.LOG")),
        };
        let bytes = self.content(&path).borrow().bytes.clone();
        let is_cut = self.content(&path).borrow().cut;
        let is_known = self.committed.knows(known_by(&bytes)) && !is_cut && !self.is_faulty(&path);
        if self.world.0.borrow().files.contains_key(&to) || !is_known {
            return;
        }
        self.create(to.clone(), bytes);
        self.copies.insert(to);
    }

    /// Cuts a file off, and gives the change the time to be noticed: what stands behind a cut that nobody saw cannot be
    /// told from what stood there before.
    fn truncate(&mut self, choice: u8, cut: u8) {
        let Some(path) = self.pick(choice) else {
            return;
        };
        let pen = self.pens.get_mut(&path).unwrap();
        pen.rest.clear();
        pen.fill = None;
        let is_away = !self.world.0.borrow().unmounted.is_empty();
        let is_known = self.is_settled(&path);
        if is_away || !is_known || self.has_copies(&path) || self.is_faulty(&path) {
            return;
        }
        self.crash = None;
        self.world.0.borrow_mut().faults.clear();
        // A size that lagged behind is seen right once before the file is cut off: else it would be one cut, and a growth.
        // A file that could not be read is left alone for up to a minute first.
        self.wait(70);
        self.bury(&path);
        let content = self.content(&path);
        let length = content.borrow().bytes.len() * usize::from(cut) / 255;
        let kept = content.borrow().bytes[..length]
            .iter()
            .rposition(|&byte| byte == b'\n');
        let length = kept.map_or(0, |newline| newline + 1);
        content.borrow_mut().bytes.truncate(length);
        content.borrow_mut().cut = true;
        self.wait(700);
        self.wait(700);
    }

    /// Whether the reader knows this file, and in this place.
    fn is_settled(&self, path: &Path) -> bool {
        let fingerprint = known_by(&self.content(path).borrow().bytes);
        self.committed.positions.values().all(|position| {
            let at = Path::new("/logs")
                .join(&*position.directory)
                .join(&*position.name);
            let is_here = at == path;
            is_here == (fingerprint.is_some() && position.fingerprint == fingerprint)
        })
    }

    fn fault(&mut self, choice: u8, kind: u8) {
        let Some(path) = self.pick(choice) else {
            return;
        };
        // Whose size is seen when nothing can be read, nobody knows if the file has just come here.
        let fingerprint = known_by(&self.content(&path).borrow().bytes);
        let is_second = self.graves.iter().any(|(grave, ..)| *grave == path);
        if !self.is_settled(&path) || is_second && !self.committed.knows(fingerprint) {
            return;
        }
        let fault = match kind % 7 {
            0 => Fault::Open(io::ErrorKind::PermissionDenied),
            1 => Fault::Open(io::ErrorKind::StaleNetworkFileHandle),
            2 => Fault::Open(io::ErrorKind::Other),
            3 if kind < 128 => Fault::Read,
            3 => Fault::Flaky(usize::from(kind) % 4 + 2),
            4 => Fault::Short(usize::from(kind) + 1),
            5 => Fault::List(io::ErrorKind::StaleNetworkFileHandle),
            _ => Fault::Hidden,
        };
        let path = match fault {
            Fault::List(_) => PathBuf::from(LOGS),
            _ => path,
        };
        self.world.0.borrow_mut().faults.insert(path, fault);
    }
}
