//! What is done with one input, and what must hold for any: the fuzz targets and the bounded test
//! on the stable toolchain (agent/tests/fuzz.rs) share it.

#![allow(dead_code, reason = "each fuzz target uses one of these functions")]

use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::alias_index::Aliases;
use vfio_bind_agent::pci::id::{ANY, DeviceId};
use vfio_bind_agent::policy::grammar;
use vfio_bind_agent::policy::kernel_ids::{self, Quirk};
use vfio_bind_agent::policy::selector::MAX_SELECTORS;
use vfio_bind_agent::policy::selector::Target;
use vfio_bind_agent::policy::sources::Sources;
use vfio_bind_agent::policy::{MAX_PROBLEMS, Policy};
use vfio_bind_agent::text::cmdline::parameters;

/// A function that takes any input.
pub type Entry = fn(&[u8]);

/// All of them, by the name of their seeds.
pub const ENTRIES: [(&str, Entry); 4] = [
    ("cmdline", cmdline),
    ("selector", selector),
    ("ids", ids),
    ("alias", alias),
];

/// No text of an input may begin a second line or drive a terminal.
fn is_safe(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// A kernel command line, and the same text as the policy file of an image.
pub fn cmdline(input: &[u8]) {
    let mut length = 0;
    for parameter in parameters(input) {
        length += parameter.name.len() + parameter.value.map_or(0, <[u8]>::len);
    }
    assert!(length <= input.len(), "words out of nothing");
    let line = Policy::read(&Sources {
        line: input,
        ..Sources::default()
    });
    let file = Policy::read(&Sources {
        file: input,
        ..Sources::default()
    });
    for policy in [line, file] {
        assert!(policy.selectors.len() <= MAX_SELECTORS && policy.problems.len() <= MAX_PROBLEMS);
        assert!(policy.more_problems == 0 || policy.forbids_binding());
        for selector in &policy.selectors {
            is_safe(&selector.to_string());
        }
        for problem in &policy.problems {
            is_safe(&problem.to_string());
        }
    }
}

/// One selector of `vfio.bind=`.
pub fn selector(input: &[u8]) {
    match grammar::parse(input) {
        Ok(parsed) => {
            assert_eq!(parsed.excludes, input.first() == Some(&b'!'));
            let shown = parsed.target.to_string();
            is_safe(&shown);
            let again = grammar::parse(shown.as_bytes());
            let again = again.unwrap_or_else(|misread| panic!("{shown}: {misread}"));
            // A class under a mask of zero is none, and is not shown.
            assert_eq!(again.target.to_string(), shown);
            if let (Target::Address(slot), Target::Address(same)) = (parsed.target, again.target) {
                assert_eq!(slot, same, "{shown}");
            }
        }
        Err(misread) => is_safe(&misread.to_string()),
    }
}

/// A modules.alias.bin: whatever is in it, looking it up comes to an end, and what is found stands
/// in it.
pub fn alias(input: &[u8]) {
    let index = Index(input);
    let Some(aliases) = Aliases::open(&index) else {
        return;
    };
    let id = DeviceId {
        vendor: 0x15b3,
        device: 0x101e,
        class: 0x02_0000,
        ..DeviceId::default()
    };
    if let Ok(Some(driver)) = aliases.best(&id) {
        is_safe(&driver);
        let start: Vec<u8> = driver
            .bytes()
            .take_while(u8::is_ascii_alphanumeric)
            .collect();
        assert!(
            input
                .windows(start.len().max(1))
                .any(|part| start.is_empty() || part == start)
        );
    }
}

/// A root with nothing but an index of aliases.
struct Index<'a>(&'a [u8]);

impl Root for Index<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let content = match path {
            "proc/sys/kernel/osrelease" => &b"6.1.0\n"[..],
            "lib/modules/6.1.0/modules.alias.bin" => self.0,
            _ => return Err(Errno::NOENT),
        };
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(&buffer[..count])
    }

    fn link<'b>(&self, _: &str, _: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::NOENT)
    }

    fn exists(&self, _: &str) -> bool {
        false
    }

    fn list(&self, _: &str, _: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        Err(Errno::NOENT)
    }
}

/// The value of `vfio_pci.ids=`.
pub fn ids(input: &[u8]) {
    let mut items = kernel_ids::items(input);
    for text in input
        .split(|byte| *byte == b',')
        .filter(|text| !text.is_empty())
    {
        let item = items.next().expect("an item for each text");
        assert_eq!(item.text, text);
        if let Some(quirk) = item.quirk {
            is_safe(&quirk.to_string());
        }
        let Some(fields) = plain_fields(text) else {
            continue;
        };
        let field = |at: usize, default| fields.get(at).copied().unwrap_or(default);
        let pattern = item.pattern.expect("two fields or more");
        assert_eq!(
            [
                pattern.vendor,
                pattern.device,
                pattern.subvendor,
                pattern.subdevice
            ],
            [field(0, ANY), field(1, ANY), field(2, ANY), field(3, ANY)]
        );
        assert_eq!(
            [pattern.class, pattern.class_mask],
            [field(4, 0), field(5, 0)]
        );
        assert!(!matches!(
            item.quirk,
            Some(Quirk::TrailingText | Quirk::Overflow)
        ));
    }
    assert_eq!(items.next(), None);
}

/// The fields of an item as everybody writes it: two to six numbers of one to eight digits.
fn plain_fields(text: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |field: &str| {
        let plain = (1..=8).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(field, 16).ok().filter(|_| plain)
    };
    let fields: Option<Vec<_>> = text.split(':').map(number).collect();
    fields.filter(|fields| (2..=6).contains(&fields.len()))
}
