//! Compiles the BPF programs with clang, so that the object is a part of the extension.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if env::var_os("CARGO_FEATURE_CLASSROOM").is_none() {
        return Ok(());
    }
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../bpf");
    let object = PathBuf::from(env::var("OUT_DIR")?).join("classroom.bpf.o");
    let mut clang = Command::new(env::var("CLANG").unwrap_or_else(|_| "clang".into()));
    clang
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g"])
        .args(["-Wall", "-Wextra", "-Werror"])
        .args(["-Wno-unused-parameter", "-Wno-sign-compare"])
        // libbpf's own headers, as old as the libbpf that is linked.
        .arg(format!("-I{}", env::var("DEP_BPF_INCLUDE")?));
    // Debian keeps <asm/types.h> in a directory of the architecture, which -target bpf hides.
    let multiarch = format!(
        "/usr/include/{}-linux-gnu",
        env::var("CARGO_CFG_TARGET_ARCH")?
    );
    if Path::new(&multiarch).is_dir() {
        clang.arg(format!("-I{multiarch}"));
    }
    clang
        .arg("-c")
        .arg(root.join("classroom.bpf.c"))
        .arg("-o")
        .arg(&object);
    if !clang.status()?.success() {
        return Err("clang could not compile bpf/classroom.bpf.c".into());
    }
    println!("cargo:rerun-if-env-changed=CLANG");
    println!("cargo:rerun-if-changed={}", root.display());
    for file in fs::read_dir(root.join("classroom"))? {
        println!("cargo:rerun-if-changed={}", file?.path().display());
    }
    Ok(())
}
