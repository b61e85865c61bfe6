//! Which few bytes of each run the scanner looks for, and which runs share a
//! bucket: those that are rare, and alike.

use super::bytes::{ByteSet, SAMPLE, by_chance, likelihood};
use super::required::Run;
use super::scan::{BUCKETS, HALVES, WINDOW, Window, half};

/// How often runs choose again, knowing what the others chose.
const ROUNDS: usize = 2;

/// Most windows of a run that are weighed: its rarest.
const MAX_WINDOWS: usize = 6;

/// Places of [`SAMPLE`], a bit for each.
type Places = [u64; SAMPLE.len() / 64];

/// How many that are.
const SAMPLE_PLACES: f32 = 1536.0;

/// What ordinary traffic is made of, as seen through a window.
struct Traffic {
    /// How likely each half of a byte is at each place of a window.
    likelihoods: [[f32; 16]; HALVES],
    /// Where in the sample windows begin that have each half at each place.
    places: [[Places; 16]; HALVES],
}

impl Traffic {
    fn new() -> Self {
        let mut places = [[Places::default(); 16]; HALVES];
        let mut likelihoods = [[0.0; 16]; HALVES];
        for (place, (places, likelihoods)) in places.iter_mut().zip(&mut likelihoods).enumerate() {
            for byte in 0..=u8::MAX {
                if let Some(sum) = likelihoods.get_mut(half(place, byte)) {
                    *sum += likelihood(byte);
                }
            }
            for (begin, byte) in SAMPLE.iter().skip(place.min(WINDOW - 1)).enumerate() {
                let places = places.get_mut(half(place, *byte));
                if let Some(word) = places.and_then(|places| places.get_mut(begin / 64)) {
                    *word |= 1 << (begin % 64);
                }
            }
        }
        Self { likelihoods, places }
    }

    /// How likely one of the halves `set` stands at `place` of a window.
    fn likelihood(&self, place: usize, set: u16) -> f32 {
        let table = self.likelihoods.get(place).into_iter().flatten().enumerate();
        table.filter(|(half, _)| set >> half & 1 == 1).map(|(_, likelihood)| likelihood).sum()
    }

    fn places(&self, place: usize, set: u16) -> Places {
        let table = self.places.get(place).into_iter().flatten().enumerate();
        let table = table.filter(|(half, _)| set >> half & 1 == 1);
        table.fold(Places::default(), |mut all, (_, places)| {
            all.iter_mut().zip(places).for_each(|(all, places)| *all |= places);
            all
        })
    }

    fn share(&self, window: Window) -> Share {
        let each = |place: usize| window.0.get(place).copied().unwrap_or_default();
        Share {
            window,
            likelihoods: std::array::from_fn(|place| self.likelihood(place, each(place))),
            places: std::array::from_fn(|place| self.places(place, each(place))),
        }
    }
}

/// The part of traffic that looks like a window.
struct Share {
    window: Window,
    likelihoods: [f32; HALVES],
    places: [Places; HALVES],
}

impl Share {
    /// How much of traffic looks like this window or the other one, or has some of
    /// its halves like the one and some like the other.
    fn with(&self, other: &Self, traffic: &Traffic) -> f32 {
        let mut chance = 1.0;
        let mut seen = [u64::MAX; SAMPLE.len() / 64];
        for (place, likelihood) in self.likelihoods.iter().enumerate() {
            let of = |share: &Self| Some((*share.window.0.get(place)?, *share.places.get(place)?));
            let (Some((set, ours)), Some((more, theirs))) = (of(self), of(other)) else { continue };
            chance *= likelihood + traffic.likelihood(place, more & !set);
            let both = ours.iter().zip(&theirs).map(|(ours, theirs)| ours | theirs);
            seen.iter_mut().zip(both).for_each(|(seen, both)| *seen &= both);
        }
        let seen = seen.iter().map(|word| word.count_ones()).sum::<u32>();
        (chance + u16::try_from(seen).map_or(f32::MAX, f32::from) / SAMPLE_PLACES) / 2.0
    }
}

/// A run, and which of its windows it has chosen.
pub(super) struct Choice<'a> {
    run: &'a Run,
    /// Of the least likely window.
    likelihood: f32,
    /// The bucket, the place in the run of the window's last byte, and the window.
    chosen: Option<(usize, usize, Window)>,
}

impl<'a> Choice<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
        let product =
            |(_, sets): (_, &[ByteSet])| sets.iter().map(|set| set.likelihood()).product();
        let likelihood = windows(run).map(product).min_by(f32::total_cmp).unwrap_or(1.0);
        Self { run, likelihood, chosen: None }
    }

    pub(super) const fn run(&self) -> &'a Run {
        self.run
    }

    /// How likely a place of ordinary text looks like the best of its windows.
    pub(super) const fn likelihood(&self) -> f32 {
        self.likelihood
    }

    /// The bucket, and the place in the run of the window's last byte.
    pub(super) fn chosen(&self) -> Option<(usize, usize)> {
        self.chosen.map(|(bucket, end, _)| (bucket, end))
    }

    fn choose(&mut self, buckets: &[Bucket; BUCKETS], traffic: &Traffic) {
        let mut rarest: Vec<(usize, &[ByteSet])> = windows(self.run).collect();
        rarest.sort_by_cached_key(|(_, sets)| by_chance(sets).to_bits());
        let offers = rarest.into_iter().take(MAX_WINDOWS).flat_map(|(end, sets)| {
            let share = traffic.share(Window::ending(sets));
            let prices: Vec<f32> =
                buckets.iter().map(|b| b.share.with(&share, traffic) - b.likelihood).collect();
            let offer = move |(bucket, price)| (price, (bucket, end, share.window));
            prices.into_iter().enumerate().map(offer)
        });
        let best = offers.min_by(|(a, _), (b, _)| a.total_cmp(b));
        self.chosen = best.map(|(_, chosen)| chosen);
    }
}

/// The windows of a run, with the place of their last byte.
fn windows(run: &Run) -> impl Iterator<Item = (usize, &[ByteSet])> {
    let length = run.sets.len().clamp(1, WINDOW);
    run.sets.windows(length).enumerate().map(move |(begin, sets)| (begin + length - 1, sets))
}

/// What the runs of one bucket look for together.
struct Bucket {
    /// How many runs look for each half at each place.
    counts: [[u32; 16]; HALVES],
    share: Share,
    likelihood: f32,
}

impl Bucket {
    fn new(traffic: &Traffic) -> Self {
        let share = traffic.share(Window::default());
        Self { counts: [[0; 16]; HALVES], share, likelihood: 0.0 }
    }

    /// `by` more runs look for this window, or as many less.
    fn count(&mut self, window: &Window, by: i32, traffic: &Traffic) {
        let mut all = Window::default();
        let places = self.counts.iter_mut().zip(&window.0).zip(&mut all.0);
        for ((counts, set), all) in places {
            for (half, count) in counts.iter_mut().enumerate() {
                if set >> half & 1 == 1 {
                    *count = count.saturating_add_signed(by);
                }
                *all |= u16::from(*count > 0) << half;
            }
        }
        self.share = traffic.share(all);
        self.likelihood = self.share.with(&self.share, traffic);
    }
}

/// Has every run choose, and gives what each bucket looks for, and how likely a
/// place of ordinary text looks like it.
pub(super) fn settle(choices: &mut [Choice<'_>]) -> ([Window; BUCKETS], f32) {
    // Those that are hardest to tell from ordinary text choose first.
    choices.sort_by(|a, b| b.likelihood.total_cmp(&a.likelihood));
    let traffic = Traffic::new();
    let mut buckets: [Bucket; BUCKETS] = std::array::from_fn(|_| Bucket::new(&traffic));
    for round in 0..ROUNDS {
        for choice in &mut *choices {
            if round > 0 {
                adjust(&mut buckets, choice, -1, &traffic);
            }
            choice.choose(&buckets, &traffic);
            adjust(&mut buckets, choice, 1, &traffic);
        }
    }
    let likelihood = buckets.iter().map(|bucket| bucket.likelihood).sum();
    (buckets.map(|bucket| bucket.share.window), likelihood)
}

fn adjust(buckets: &mut [Bucket; BUCKETS], choice: &Choice<'_>, by: i32, traffic: &Traffic) {
    if let Some((bucket, _, window)) = choice.chosen
        && let Some(bucket) = buckets.get_mut(bucket)
    {
        bucket.count(&window, by, traffic);
    }
}
