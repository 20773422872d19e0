import threading

import msgspec
import numpy as np
import pytest

from monitoring.drift import report_drift
from monitoring.monitor import Monitor, MonitorConfig
from monitoring.profile import Profile, build_profile
from tasks.detection import Detection, DetectionSpec
from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from tasks.task import Category, Observation, Scalar, SignalSpec

SPECS = {
    "light": SignalSpec(kind="scalar"),
    "answer": SignalSpec(kind="category", categories=("cat", "dog")),
}


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def pictures(number: int, seed: int = 0, shift: float = 0.0) -> list[dict[str, Observation]]:
    rng = np.random.default_rng(seed)
    return [
        {"light": Scalar(float(rng.standard_normal() + shift)), "answer": Category(int(rng.integers(2)))}
        for _ in range(number)
    ]


@pytest.fixture(scope="module")
def profile() -> Profile:
    return build_profile(SPECS, pictures(3000, seed=99))


def observe_all(monitor: Monitor, many: list[dict[str, Observation]]) -> None:
    for picture in many:
        monitor.observe(picture)


def test_counts_returned_for_the_counters_add_up_to_the_window(profile: Profile) -> None:
    monitor = Monitor(profile)
    returned = [monitor.observe(picture) for picture in pictures(250)]
    for name, counts in monitor.counts().items():
        assert counts.weights.tolist() == np.sum([weights[name] for weights in returned], axis=0).tolist()


def test_verdict_goes_from_collecting_to_steady_to_drift(profile: Profile) -> None:
    clock = Clock()
    monitor = Monitor(profile, MonitorConfig(check_interval_s=10), clock)
    assert monitor.report().status == "collecting"
    observe_all(monitor, pictures(99))
    assert monitor.report().status == "collecting"
    observe_all(monitor, pictures(201, seed=1))
    assert monitor.report().status == "steady"
    observe_all(monitor, pictures(300, seed=2, shift=1))
    clock.now_s += 10
    report = monitor.report()
    assert report.status == "drift"
    assert [s.signal for s in report.signals if s.drifted] == ["light"]
    assert report.num_images == 300


def test_asking_often_does_not_buy_more_verdicts(profile: Profile) -> None:
    clock = Clock()
    monitor = Monitor(profile, MonitorConfig(check_interval_s=10), clock)
    observe_all(monitor, pictures(300))
    first = monitor.report()
    observe_all(monitor, pictures(300, shift=1))
    clock.now_s += 9.9
    assert monitor.report() is first
    clock.now_s += 0.1
    assert monitor.report().status == "drift"


def test_waiting_for_pictures_does_not_delay_the_first_verdict(profile: Profile) -> None:
    monitor = Monitor(profile, MonitorConfig(check_interval_s=3600), Clock())
    assert monitor.report().status == "collecting"
    observe_all(monitor, pictures(300))
    assert monitor.report().status == "steady"


def test_reset_forgets_pictures_and_verdict(profile: Profile) -> None:
    monitor = Monitor(profile, MonitorConfig(), Clock())
    observe_all(monitor, pictures(300, shift=1))
    assert monitor.report().status == "drift"
    monitor.reset()
    assert monitor.report().status == "collecting"
    observe_all(monitor, pictures(300))
    assert monitor.report().status == "steady"


def test_a_report_is_that_of_the_summed_counters(profile: Profile) -> None:
    monitor = Monitor(profile)
    observe_all(monitor, pictures(200))
    config = monitor.config
    assert monitor.report() == report_drift(profile, monitor.counts(), alpha=config.alpha, min_images=config.min_window)


def test_only_signals_that_both_sides_have_are_counted(profile: Profile) -> None:
    monitor = Monitor(profile)
    assert set(monitor.observe({"answer": Category(7), "mood": Scalar(1.0)})) == {"answer"}
    observe_all(monitor, pictures(200))
    assert {name: counts.num_images for name, counts in monitor.counts().items()} == {"light": 200, "answer": 201}


def test_pictures_without_a_signal_do_not_make_it_drift(profile: Profile) -> None:
    monitor = Monitor(profile)
    observe_all(monitor, [{"answer": picture["answer"]} for picture in pictures(250)] + pictures(50))
    assert monitor.report().status == "steady"


DETECTOR = Detection(DetectionSpec(labels=("cat", "dog"), image=ImageSpec(height=8, width=8)))


def watch_detector(number: int, seed: int, confidence: float) -> list[dict[str, Observation]]:
    """What monitoring sees of a detector that looks at noise and is this sure, at most, of up to five boxes."""
    rng = np.random.default_rng(seed)
    observed = []
    for _ in range(number):
        sample = DETECTOR.sample_from_tensor(rng.integers(0, 256, (8, 8, 3), np.uint8))
        outputs = {
            "boxes": np.array([[0, 0, 3, 3], [4, 0, 7, 3], [0, 4, 3, 7], [4, 4, 7, 7], [2, 2, 5, 5]], np.float32),
            "scores": rng.uniform(0, confidence, (5, 2)).astype(np.float32),
            "embedding": rng.standard_normal(4).astype(np.float32),
        }
        prediction = DETECTOR.decode_output(outputs, sample, DETECTOR.parse_params({}))
        observed.append(DETECTOR.signals(sample, DETECTOR.preprocess(sample), outputs, prediction))
    return observed


@pytest.fixture(scope="module")
def detector_profile() -> Profile:
    return build_profile(DETECTOR.signal_specs(), watch_detector(2000, seed=0, confidence=1.0))


def test_a_detector_that_finds_nothing_any_more_has_drifted_though_its_boxes_can_not_be_judged(
    detector_profile: Profile,
) -> None:
    monitor = Monitor(detector_profile)
    observe_all(monitor, watch_detector(300, seed=1, confidence=1.0))
    assert monitor.report().status == "steady"
    monitor.reset()
    observe_all(monitor, watch_detector(300, seed=2, confidence=0.2))
    report = monitor.report()
    assert {s.signal for s in report.signals if s.drifted} >= {"num_boxes", "top_score"}
    assert not {"class_mix", "box_area", "score_histogram"} & {s.signal for s in report.signals}


def test_signals_of_few_pictures_are_judged_by_those(detector_profile: Profile) -> None:
    monitor = Monitor(detector_profile)
    observe_all(monitor, watch_detector(290, seed=1, confidence=0.2) + watch_detector(10, seed=2, confidence=1.0))
    verdicts = {s.signal: s for s in monitor.report().signals}
    assert verdicts["num_boxes"].num_images == 300
    assert verdicts["class_mix"].num_images == 10
    assert not verdicts["class_mix"].drifted
    assert not verdicts["box_area"].drifted


def test_one_thread_may_feed_while_another_asks(profile: Profile) -> None:
    monitor = Monitor(profile, MonitorConfig(check_interval_s=1e-9))
    feeder = threading.Thread(target=observe_all, args=(monitor, pictures(3000)))
    feeder.start()
    sizes = []
    while feeder.is_alive():
        sizes.append({counts.num_images for counts in monitor.counts().values()})
        monitor.report()
    feeder.join()
    assert all(len(found) == 1 and max(found) <= 300 for found in sizes)


def test_alarms_per_day_become_the_chance_of_one_verdict() -> None:
    config = MonitorConfig(false_alarms_per_day=0.5, check_interval_s=60)
    assert config.alpha * (24 * 60) == pytest.approx(0.5)
    assert MonitorConfig(false_alarms_per_day=1e6, check_interval_s=60).alpha == 0.5


@pytest.mark.parametrize(
    "settings",
    [
        {"min_window": 301},
        {"min_window": 0},
        {"window_size": 0},
        {"false_alarms_per_day": 0.0},
        {"check_interval_s": -1.0},
        {"false_alarms_per_day": float("nan")},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidRecipe, match="monitoring"):
        MonitorConfig(**settings)
    with pytest.raises((InvalidRecipe, msgspec.ValidationError)):
        msgspec.convert(settings, MonitorConfig)
