//! Headings of the pages, and how a value of this host is put.

use eleven_knowledge::{Language, SysctlFacts};
use eleven_linux::proc::sysctl;

/// Headings by key, in English and Chinese. The keys are those of the JSON.
const HEADINGS: [(&str, &str, &str); 31] = [
    ("spellings", "Spellings", "写法"),
    ("what", "What it is", "含义"),
    ("enters", "Who gets into it", "谁会进入"),
    ("ends", "What ends it", "如何结束"),
    ("pile", "What a pile of them means", "大量出现意味着什么"),
    ("next", "What to look at next", "下一步查看"),
    ("values", "Values on this host", "本机取值"),
    ("ways", "Ways in and out", "进出路径"),
    ("verdict", "Verdict", "判定"),
    ("flags", "Its flags", "各标志位"),
    ("title", "Message", "错误信息"),
    ("when", "When the kernel returns it", "内核何时返回"),
    ("states", "States", "相关状态"),
    ("check", "What to check", "检查什么"),
    ("value", "Value on this host", "本机取值"),
    ("default", "Default", "默认值"),
    ("kernels", "Kernels", "内核版本"),
    ("scope", "Scope", "作用范围"),
    ("raise", "When to touch it", "何时调整"),
    ("never", "When not to", "何时不要动"),
    ("seen", "What is seen", "现象"),
    ("cause", "Why, and who must act", "原因与责任方"),
    ("fix", "What helps", "如何解决"),
    ("verify", "How to verify it", "如何验证"),
    ("who", "Who must act", "由谁处理"),
    ("outcomes", "What can happen", "可能的结果"),
    ("if", "if", "条件"),
    ("does", "does", "动作"),
    ("linux", "Linux", "Linux"),
    ("otherwise", "always", "总是"),
    ("accidents", "Resets, timeouts and aborts besides", "此外还有复位、超时与中止"),
];

/// The heading of a key.
pub(super) fn heading(key: &str, language: Language) -> &'static str {
    let row = HEADINGS.iter().find(|row| row.0 == key);
    row.map_or("", |row| match language {
        Language::English => row.1,
        Language::SimplifiedChinese => row.2,
    })
}

/// A sysctl's value here with its unit: `60 s`; the default, marked as such, where it cannot
/// be read.
pub(super) fn value_here(name: &str, facts: Option<&SysctlFacts>, language: Language) -> String {
    let unit =
        facts.and_then(|facts| facts.unit.as_deref()).map_or_else(String::new, |unit| format!(" {unit}"));
    match (sysctl::read(name), facts) {
        (Some(value), _) => format!("{value}{unit}"),
        (None, Some(facts)) => match language {
            Language::English => format!("{}{unit} by default", facts.default),
            Language::SimplifiedChinese => format!("默认 {}{unit}", facts.default),
        },
        (None, None) => "?".to_owned(),
    }
}
