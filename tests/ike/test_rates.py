"""Token buckets: how often something may happen, of one and of many."""

from __future__ import annotations

from hushwire.ike.rates import Bucket, Buckets


def test_a_burst_passes_at_once_and_then_the_rate() -> None:
    bucket = Bucket(rate=2.0, burst=5.0, now=100.0)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take(100.4)
    assert bucket.take(100.5)
    assert not bucket.take(100.5)
    passed = sum(bucket.take(101.0 + tenth / 10) for tenth in range(100))
    assert 19 <= passed <= 21
    assert sum(bucket.take(1000.0) for _ in range(10)) == 5


def test_asking_takes_nothing() -> None:
    bucket = Bucket(rate=1.0, burst=1.0, now=0.0)
    assert all(bucket.ready(0.0) for _ in range(5))
    assert bucket.take(0.0)
    assert not bucket.ready(0.0)


def test_each_key_has_its_own_and_few_are_kept() -> None:
    buckets = Buckets(rate=1.0, burst=1.0, most=10)
    assert buckets.take(b"a", 0.0)
    assert buckets.take(b"b", 0.0)
    assert not buckets.take(b"a", 0.0)
    for number in range(1000):
        buckets.take(number.to_bytes(4, "big"), 0.0)
        assert not buckets.take(b"a", 0.0)  # who asks often is not forgotten
        assert len(buckets) <= 10
