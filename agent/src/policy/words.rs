//! What each word does to a policy.

use crate::policy::problem::{Instead, Problem};
use crate::policy::selector::{Selector, Source};
use crate::policy::setting::Settings;
use crate::policy::sriov::Making;
use crate::policy::vocabulary::Word;
use crate::policy::{GroupPolicy, OnFailure, Policy, VFIO_PCI, grammar};
use crate::text::cmdline::{Parameter, switch};
use crate::text::misread::Misread;
use crate::text::{DriverName, NAME_LEN, name, one_of};

impl<'a> Policy<'a> {
    pub(super) fn word(&mut self, parameter: Parameter<'a>, word: Word) {
        let value = parameter.value;
        let bad = |policy: &mut Self, expected, instead| {
            policy.bad_value(parameter, expected, instead);
        };
        match word {
            Word::List(source) => self.list(parameter, source),
            Word::Group => {
                const KNOWN: &[(&str, GroupPolicy)] = &[
                    ("endpoints", GroupPolicy::Endpoints),
                    ("strict", GroupPolicy::Strict),
                    ("listed", GroupPolicy::Listed),
                ];
                let group = value.and_then(|value| one_of(value, KNOWN));
                // The narrowest one: whoever wrote a word wanted something to be left alone.
                self.group = group.unwrap_or(GroupPolicy::Strict);
                if group.is_none() {
                    bad(self, "endpoints, strict or listed", Instead::Uses("strict"));
                }
            }
            Word::Driver => match value {
                Some(b"auto") => {
                    (self.auto, self.driver) = (true, driver_name(VFIO_PCI.as_bytes()))
                }
                Some(driver) if is_driver_name(driver) => {
                    (self.auto, self.driver) = (false, driver_name(driver));
                }
                _ => bad(self, "the name of a driver", Instead::BindsNothing),
            },
            Word::OnFail => {
                const KNOWN: &[(&str, OnFailure)] =
                    &[("native", OnFailure::Native), ("hold", OnFailure::Hold)];
                let on_failure = value.and_then(|value| one_of(value, KNOWN));
                self.on_failure = on_failure.unwrap_or(OnFailure::Native);
                if on_failure.is_none() {
                    bad(self, "native or hold", Instead::Uses("native"));
                }
            }
            Word::DryRun => match switch(value) {
                Ok(on) => self.dry_run = on,
                Err(_) => {
                    self.dry_run = true;
                    bad(self, "1 or 0", Instead::Uses("1"));
                }
            },
            Word::Force => match switch(value) {
                Ok(on) => self.force = on,
                Err(_) => {
                    self.force = false;
                    bad(self, "1 or 0", Instead::Uses("0"));
                }
            },
            Word::Set => {
                let text = value.unwrap_or_default();
                match Settings::parse(text) {
                    Ok(settings) => {
                        if self.settings.push(settings).is_err() {
                            self.problem(Problem::TooManySettings);
                        }
                    }
                    Err(misread) => self.misread(Source::Set, text, misread),
                }
            }
            Word::Sriov => {
                let text = value.unwrap_or_default();
                match Making::parse(text) {
                    Ok(making) => {
                        if self.makings.push(making).is_err() {
                            self.problem(Problem::TooManySettings);
                        }
                    }
                    Err(misread) => self.misread(Source::Sriov, text, misread),
                }
            }
            Word::Unprotected => {
                self.listed = false;
                self.problem(Problem::Unprotected(value.unwrap_or_default()));
            }
            Word::Unknown => self.unknown(parameter),
        }
    }

    #[inline(never)] // Inlined, it makes the executable larger.
    fn bad_value(&mut self, parameter: Parameter<'a>, expected: &'static str, instead: Instead) {
        let Parameter { name, value, .. } = parameter;
        self.problem(Problem::BadValue {
            name,
            value,
            expected,
            instead,
        });
    }

    #[inline(never)] // Inlined, it makes the executable larger.
    fn misread(&mut self, source: Source, text: &'a [u8], misread: Misread<'a>) {
        self.problem(Problem::Selector {
            source,
            text,
            misread,
        });
    }

    fn list(&mut self, parameter: Parameter<'a>, source: Source) {
        let mut rest = parameter.value.unwrap_or_default();
        let mut empty = true;
        while !rest.is_empty() {
            let text;
            (text, rest) = grammar::item(rest);
            if text.is_empty() {
                continue;
            }
            empty = false;
            if text == b"off" && source == Source::Bind {
                self.off = true;
                continue;
            }
            match grammar::parse(text) {
                Ok(selector) => self.select(Selector {
                    source,
                    // `!` in front of what is protected: there is no more than leaving it alone.
                    excludes: selector.excludes || source == Source::Protect,
                    ..selector
                }),
                Err(misread) => self.misread(source, text, misread),
            }
        }
        if empty {
            self.problem(Problem::NamesNothing(source));
        }
    }
}

fn is_driver_name(text: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_LEN && text.iter().all(fits)
}

/// The module is vfio_pci and the driver vfio-pci: people write either, an override takes one.
fn driver_name(text: &[u8]) -> DriverName {
    name(if text == b"vfio_pci" {
        VFIO_PCI.as_bytes()
    } else {
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{policy, problems, read};

    #[test]
    fn every_word_is_read() {
        let policy = policy(
            "vfio.group=listed vfio.driver=mlx5_vfio_pci vfio.onfail=hold vfio.dry-run \
             vfio.bind=off",
        );
        assert_eq!(policy.group, GroupPolicy::Listed);
        assert_eq!(policy.driver, "mlx5_vfio_pci");
        assert_eq!(policy.on_failure, OnFailure::Hold);
        assert!(policy.dry_run && policy.off && problems(&policy).is_empty());
        assert!(!policy.auto);
        assert_eq!(read(b"vfio.driver=vfio_pci").driver, "vfio-pci");
        assert!(!read(b"vfio.driver=vfio_pci").auto && read(b"").auto);
        let last = read(b"vfio.driver=mlx5_vfio_pci vfio.driver=auto");
        assert!(last.auto && last.driver == "vfio-pci");
        let last = read(
            b"vfio.onfail=hold vfio.group=listed vfio.force vfio.dry_run \
             vfio.onfail=native vfio.group=endpoints vfio.force=0 vfio.dry_run=0",
        );
        assert_eq!(last.on_failure, OnFailure::Native);
        assert_eq!(last.group, GroupPolicy::Endpoints);
        assert!(!last.force && !last.dry_run && last.problems.is_empty());
    }
}
