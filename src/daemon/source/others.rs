//! Logs of another kind where send logs should be: which folder was given instead of the right one.

use crate::daemon::source::is_log;
use crate::daemon::source::is_send_log;
use crate::daemon::source::strip_ignoring_case;
use crate::pipeline::shown::shown;

/// What was seen of such logs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Others {
    is_receive: bool,
    /// One of them.
    name: Option<String>,
}

impl Others {
    /// Looks at the name of a file.
    pub fn see(&mut self, name: &str) {
        if is_log(name) && !is_send_log(name) {
            self.is_receive |= strip_ignoring_case(name, "RECV").is_some();
            self.name.get_or_insert_with(|| name.to_owned());
        }
    }

    /// What is there instead of send logs, in words for an operator that follow a path; `None`: no log at all.
    pub fn told(&self) -> Option<String> {
        let name = self.name.as_ref()?;
        Some(if self.is_receive {
            "holds SMTP receive logs (RECV*.LOG), but none named SEND*.LOG. Give the SmtpSend folder instead of SmtpReceive"
                .to_owned()
        } else {
            let name = shown(name);
            format!(
                "holds logs ({name}), but none named SEND*.LOG. Give the SmtpSend folder of a server"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_named() {
        let told = |names: &[&str]| {
            let mut others = Others::default();
            for name in names {
                others.see(name);
            }
            others.told()
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["SEND2026112308-1.LOG", "readme.txt", ".LOG"]), None);
        for (names, says) in [
            (&["RECV2026112308-1.LOG"][..], "instead of SmtpReceive"),
            (
                &["MSGTRK2026112308-1.LOG", "recv2026112308-1.log"],
                "instead of SmtpReceive",
            ),
            (
                &["MSGTRK2026112308-1.LOG"],
                "(MSGTRK2026112308-1.LOG), but none named SEND*.LOG",
            ),
        ] {
            let text = told(names).unwrap_or_default();
            assert!(text.contains(says), "{text}");
        }
    }
}
