//! `pocketlm`, the native command line: generate, chat, logits, look, inspect, bench.
//!
//! Results go to stdout, figures and messages to stderr. Exit status: 0; 1 for a failure, with one line that says what failed;
//! 2 for wrong arguments. A panic would be a defect, and still ends with a message and status 1.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a program has std"
)]

use std::io::{self, Write};
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pocketlm_inference::EngineError;

mod bench;
mod chat;
mod device;
mod generate;
mod inspect;
mod logits;
mod look;
mod model;
mod pace;
mod profile;
mod sampling;
mod template;
mod threads;
mod tunings;
mod turns;

/// Run a PocketLM model.
#[derive(Parser)]
#[command(name = "pocketlm", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Continue a text: the continuation on stdout, figures on stderr
    Generate(generate::Options),
    /// Talk with a model that has a chat template; Ctrl-C stops an answer
    Chat(chat::Options),
    /// Write the logits of every position on stdout: raw little-endian f32, one row of vocab_size a position
    Logits(logits::Options),
    /// Write what the last token attends to, or what the layers would say next, on stdout: raw little-endian f32
    Look(look::Options),
    /// Show the header and the tensors
    Inspect(inspect::Options),
    /// Measure loading, prefill and decode
    Bench(bench::Options),
}

/// What every command that runs a model is given.
#[derive(Args)]
struct ModelOptions {
    /// The model.bin
    model: PathBuf,
    /// Where to run it; auto takes the GPU where there is one that computes correctly
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    device: Device,
    /// Instructions of the CPU's matrix loop; auto takes the best that this processor has
    #[arg(long, value_enum, default_value_t = Instructions::Auto)]
    isa: Instructions,
    /// Threads that share the CPU's operations [default: as many as there are processors for this process]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// What keys and values are kept in [default: f32 where all weights are f32, else f16]
    #[arg(long, value_enum)]
    cache: Option<CacheDtype>,
}

/// What keys and values are kept in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CacheDtype {
    /// Nothing is rounded
    F32,
    /// Half the memory
    F16,
}

/// Instructions of the CPU's matrix loop.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Instructions {
    /// The best that this processor has
    Auto,
    /// What every processor has
    Portable,
    /// AVX2 with FMA and F16C; an error where the processor lacks them
    Avx2,
    /// AVX-512's foundation beside those; an error where the processor lacks it
    Avx512,
    /// NEON, which every aarch64 processor has; an error on any other
    Neon,
    /// Dot products of bytes beside it; an error where the processor lacks them
    Dotprod,
}

/// Where a model runs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    /// Plain loops
    Cpu,
    /// wgpu; an error where there is no adapter
    Gpu,
    /// The GPU where there is a real one that passes the self-check, else the CPU
    Auto,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One line instead of a backtrace: the payload is printed below, once.
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map(|at| format!(" at {}:{}", at.file(), at.line()))
            .unwrap_or_default();
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        report(&format!("internal error{place}: {message}"));
    }));
    match panic::catch_unwind(|| run(cli.command)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let hint = error
                .downcast_ref::<EngineError>()
                .map(|error| format!(" {}", error.hint()))
                .unwrap_or_default();
            report(&format!("{error:#}.{hint}"));
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Generate(options) => generate::run(&options),
        Command::Chat(options) => chat::run(&options),
        Command::Logits(options) => logits::run(&options),
        Command::Look(options) => look::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Bench(options) => bench::run(&options),
    }
}

/// One line on stderr. A closed stderr is no reason to fail.
fn report(message: &str) {
    let _ = writeln!(io::stderr(), "pocketlm: {message}");
}

/// Whether the reader of our output went away, as `| head` does: that is quiet success.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
