//! permessage-deflate (RFC 7692 §7): what was agreed, and compressed messages
//! inflated for inspection. Nothing is compressed here.
//!
//! Every message must end where a DEFLATE block ends (§7.2.1, §7.2.3). Decoders
//! that are lenient about it carry what is left over into the next message and
//! read that in another way than one that begins anew, so a message that ends
//! anywhere else is refused: what was inspected would not be what arrives.
//!
//! A block with BFINAL set is a block like any other (§7.2.1): it is padded to the
//! end of its octet, and further blocks follow, final ones too, or the octet 00 of
//! §7.2.3.4, the head of the empty block whose lengths are left off. The last block
//! is always that one, and has BFINAL clear. Padding bits say nothing, as in RFC
//! 1951 §3.2.4. The LZ77 window does not end with a final block: a compressor may
//! go on with it in the next block and in the next message (§7.1.1, §7.2.2), and one
//! that begins anew never refers to what was before, so this one reading holds for
//! both. Receivers differ: some stop for ever at a final block, some take a fresh
//! decoder for the next frame, some go on. [`Inflated::has_final_block`] says where
//! that matters: such a message must not go on as it came.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use std::rc::Rc;

mod fuzz;
mod history;

pub use fuzz::fuzz_inflate;
pub use history::History;

/// What the sender leaves off the end of every message (§7.2.1): the lengths of
/// an empty stored block.
const TAIL: &[u8] = &[0x00, 0x00, 0xFF, 0xFF];

/// The head of that empty block: the only octet that may stand alone behind a block
/// with BFINAL set (§7.2.3.4).
const AFTER_FINAL: &[u8] = &[0x00];

/// Up to here no ratio is held against a message: it is no more than what a
/// connection's buffers hold anyway, and small messages of few different bytes
/// compress best.
pub const FREE_OUTPUT_BYTES: usize = 64 * 1024;

/// Above [`FREE_OUTPUT_BYTES`] a message may be this many times as long as what
/// was sent of it. Measured with zlib: JSON records that differ in a number are
/// about 20 times as long, time series and sparse arrays 50, and twenty thousand
/// records that are all the same 340. DEFLATE ends at 1,032, where only blank
/// data gets to, which costs its receiver far more than its sender.
pub const MAX_RATIO: usize = 512;

/// Blocks that any message may be made of: enough for one that was flushed
/// hundreds of times while it was written.
pub const FREE_BLOCKS: usize = 1024;

/// Above [`FREE_BLOCKS`] a message may have one block for each so many bytes of
/// it. zlib at its lowest memory level makes one of every 127 symbols, most of
/// which take a byte. Each block costs the building of its tables, some
/// microseconds, and an empty one is written in ten bits: without a bound, 1 MiB
/// of them would take longer than a second.
pub const BYTES_PER_BLOCK: usize = 64;

/// Room for output that a message gets at first.
const FIRST_STEP_BYTES: usize = 1024;

const FLAGS: u32 = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
    | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
    | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

/// What was agreed for one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Base-2 logarithm of the LZ77 window, 8 to 15 (§7.1.2).
    pub bits: u8,
    /// Whether a message may refer to those before it (§7.1.1).
    pub takeover: bool,
}

impl Window {
    /// What holds where nothing is said: 32 KiB, taken over.
    pub const DEFAULT: Self = Self { bits: 15, takeover: true };

    /// How much of earlier messages a message may refer to, in bytes.
    fn history_bytes(self) -> usize {
        if self.takeover { 1 << self.bits.clamp(8, 15) } else { 0 }
    }
}

/// What client and upstream agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// For messages that the client compresses.
    pub client: Window,
    /// For messages that the server compresses.
    pub server: Window,
}

/// How the blocks of an inflated message stood on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Inflated {
    /// A block has BFINAL set. Receivers differ in what they read behind it, in
    /// later messages too.
    pub has_final_block: bool,
}

/// Inflates the messages of one direction, in order.
///
/// Between messages it holds their last bytes and nothing else, and not even those where
/// they were forgotten ([`History::forget`]).
#[derive(Debug)]
pub struct Inflater {
    window: Window,
    /// The end of what was inflated so far; none where nothing is taken over.
    history: Rc<History>,
}

impl Inflater {
    /// For a direction whose messages refer to this much of earlier ones.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self { window, history: Rc::default() }
    }

    /// Inflates one whole message, as it was on the wire: the payloads of its
    /// frames, without the tail that §7.2.1 has left off. Whatever is in `out`
    /// makes room for it.
    ///
    /// `out` takes no more memory than the message and the window need, and no
    /// more than `limit_bytes` and the window.
    ///
    /// # Errors
    /// [`InflateError`]; `out` is empty then. No later message can be read.
    pub fn inflate(
        &mut self,
        compressed: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, InflateError> {
        let lost = self.history.lost_bytes();
        let read = self.read(compressed, limit_bytes, 0, out).map_err(|failed| match failed {
            Failed { error: InflateError::Corrupt, at } if lost > 0 => {
                // With anything in the place of what is lost, a message that refers to it
                // can be read further. What comes of that goes nowhere.
                let again = self.read(compressed, limit_bytes, lost, out);
                match again {
                    Err(Failed { error: InflateError::Corrupt, at: same }) if same == at => {
                        InflateError::Corrupt
                    }
                    _ => InflateError::Forgotten,
                }
            }
            failed => failed.error,
        });
        let (end, has_final_block) = read.inspect_err(|_| {
            out.clear();
            self.history.clear();
        })?;
        out.truncate(end);
        let earlier = self.history.len();
        self.history.keep(out, self.window.history_bytes());
        out.drain(..earlier);
        Ok(Inflated { has_final_block })
    }

    /// Reads a message behind `blank` bytes in the place of what was forgotten, and what
    /// is kept: where in `out` it ends, and whether it has a final block.
    fn read(
        &self,
        compressed: &[u8],
        limit_bytes: usize,
        blank: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), Failed> {
        out.clear();
        out.resize(blank, 0);
        self.history.append_to(out);
        let allowed = compressed.len().saturating_mul(MAX_RATIO).max(FREE_OUTPUT_BYTES);
        let (most, exceeded) = if limit_bytes <= allowed {
            (limit_bytes, InflateError::TooBig)
        } else {
            (allowed, InflateError::Ratio)
        };
        let begin = out.len();
        let mut message = Message {
            decoder: DecompressorOxide::new(),
            position: begin,
            // One more than allowed, so that what is full has too much in it.
            end: begin.saturating_add(most).saturating_add(1),
            exceeded,
            has_final_block: false,
            blocks_left: FREE_BLOCKS.saturating_add(compressed.len() / BYTES_PER_BLOCK),
            out,
        };
        let read = message.run(compressed);
        let at = message.position - begin;
        read.map_err(|error| Failed { error, at })?;
        Ok((message.position, message.has_final_block))
    }

    /// Returns the bytes that are kept between messages.
    #[must_use]
    pub const fn history(&self) -> &Rc<History> {
        &self.history
    }

    /// Memory that is held between messages: at most the window.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.history.held_bytes()
    }
}

/// Why a message can't be read, and after how many bytes of it that was seen.
struct Failed {
    error: InflateError,
    at: usize,
}

/// A message that is being inflated.
struct Message<'a> {
    decoder: DecompressorOxide,
    /// What earlier messages left, then what is inflated, then room.
    out: &'a mut Vec<u8>,
    /// Where the room begins: at most the length of `out`.
    position: usize,
    /// `out` is never made longer than this.
    end: usize,
    /// What it means when it would have to be.
    exceeded: InflateError,
    has_final_block: bool,
    blocks_left: usize,
}

impl Message<'_> {
    fn run(&mut self, compressed: &[u8]) -> Result<(), InflateError> {
        let room = compressed.len().saturating_mul(4).clamp(FIRST_STEP_BYTES, FREE_OUTPUT_BYTES);
        self.grow(room)?;
        let mut rest = compressed;
        while let Some(behind) = self.feed(rest)? {
            self.has_final_block = true;
            if behind.is_empty() || behind.len() == 1 && behind != AFTER_FINAL {
                return Err(InflateError::Corrupt);
            }
            // The next block begins with an octet. What was inflated stays the
            // window that it may refer to, and every bound holds for the whole.
            self.decoder.init();
            rest = behind;
        }
        match self.feed(TAIL)? {
            None if self.at_boundary() => Ok(()),
            // A final block that ends with the tail, too: nothing is behind it.
            _ => Err(InflateError::Corrupt),
        }
    }

    /// Inflates `input`; answers what is left behind the next final block.
    fn feed<'i>(&mut self, mut input: &'i [u8]) -> Result<Option<&'i [u8]>, InflateError> {
        loop {
            let (status, read, written) =
                decompress(&mut self.decoder, input, self.out, self.position, FLAGS);
            self.position = self.position.saturating_add(written);
            input = input.get(read..).unwrap_or_default();
            match status {
                TINFLStatus::NeedsMoreInput => return Ok(None),
                TINFLStatus::HasMoreOutput => self.grow(self.out.len())?,
                TINFLStatus::BlockBoundary | TINFLStatus::Done => {
                    self.blocks_left =
                        self.blocks_left.checked_sub(1).ok_or(InflateError::Blocks)?;
                    if status != TINFLStatus::Done && !input.is_empty() {
                        continue;
                    }
                    if self.position >= self.end {
                        return Err(self.exceeded);
                    }
                    return Ok((status == TINFLStatus::Done).then_some(input));
                }
                _ => return Err(InflateError::Corrupt),
            }
        }
    }

    /// Whether a block has ended with the last byte.
    fn at_boundary(&self) -> bool {
        self.decoder.block_boundary_state().is_some_and(|state| state.num_bits == 0)
    }

    /// Makes more room: about so many bytes, and never more than there may be.
    fn grow(&mut self, by: usize) -> Result<(), InflateError> {
        let length = self.out.len().saturating_add(by).min(self.end);
        if length == self.out.len() {
            return Err(self.exceeded);
        }
        self.out.reserve_exact(length - self.out.len());
        self.out.resize(length, 0);
        Ok(())
    }
}

/// Why a message can't be inflated; its sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InflateError {
    /// It would be longer than the limit.
    TooBig,
    /// It would be longer than [`FREE_OUTPUT_BYTES`], and than [`MAX_RATIO`]
    /// times what was sent of it.
    Ratio,
    /// It has more blocks than a compressor makes of its length:
    /// [`FREE_BLOCKS`], [`BYTES_PER_BLOCK`].
    Blocks,
    /// It is no DEFLATE stream that ends with the message, or refers to what
    /// the window does not hold (§7.2.2).
    Corrupt,
    /// It refers to what earlier messages held and [`History::forget`] has given up.
    Forgotten,
}

impl std::fmt::Display for InflateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooBig => "the inflated message is longer than max_message",
            Self::Ratio => {
                "the inflated message is longer than 64 KiB and than 512 times its compressed length"
            }
            Self::Blocks => "the compressed message has more DEFLATE blocks than its length explains",
            Self::Corrupt => {
                "the compressed message is no complete DEFLATE stream within the agreed window"
            }
            Self::Forgotten => {
                "the compressed message refers to earlier ones, which were given up when held bytes ran short"
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
