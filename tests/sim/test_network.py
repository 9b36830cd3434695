"""What links do to messages: delays, cuts, and every fault of `labs.faults`."""

import pytest
from echo_lab.roles import Count, Echo, Keep, Mistyped, Relay, Texts, Unknown
from plays import passes

from common.host import CallFailed, CallRefused
from labs.cluster import Cluster
from labs.faults import UNRELIABLE, Faults
from labs.sim.cluster import SimCluster
from labs.sim.network import LONG_DELAY, USUAL_DELAY, Network


async def two(cluster: Cluster) -> None:
    """Servers a and b."""
    await cluster.start("echo", "a")
    await cluster.start("echo", "b")


async def relays(cluster: Cluster, count: int, seconds: float = 0.0, timeout: float = 2.0) -> list[str]:
    """What a hears when it asks b so often at once."""
    return await cluster.gather(
        *(cluster.call("a", Relay("b", str(number), seconds, timeout), timeout=None) for number in range(count))
    )


def test_calls_get_their_replies() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        assert await relays(cluster, 10) == [str(number) for number in range(10)]
        assert await cluster.call("b", Count()) == 10
        assert cluster.calls("b") == 0

    passes(scenario)


def test_messages_have_delays_and_overtake_each_other() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        start = cluster.now()
        await relays(cluster, 300)
        assert USUAL_DELAY[0] < cluster.now() - start < 2 * LONG_DELAY[1] + 0.01
        texts = await cluster.call("b", Texts())
        assert texts != sorted(texts, key=int)
        delays = [cluster.network.delay("a", "b") for _ in range(5000)]
        assert 50 < sum(delay > LONG_DELAY[0] for delay in delays) < 150
        assert USUAL_DELAY[0] <= min(delays) < max(delays) <= LONG_DELAY[1]

    passes(scenario)


def test_no_call_without_a_link() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.cut("a", "b")
        assert await relays(cluster, 3) == ["failed"] * 3
        assert "there is no link" in cluster.log("a")
        assert await cluster.call("b", Relay("a", "x")) == "x"  # the other direction
        assert await cluster.call("a", Relay("nobody", "x")) == "failed"
        cluster.join("a", "b")
        assert await relays(cluster, 3) == ["0", "1", "2"]

    passes(scenario)


def test_a_call_under_way_is_answered_over_a_link_that_was_cut() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        answer = cluster.spawn(cluster.call("a", Relay("b", "x", seconds=1.0)))
        await cluster.sleep(0.5)
        cluster.partition(["a"], ["b"])
        assert await answer == "x"
        assert await relays(cluster, 1) == ["failed"]
        cluster.heal()
        assert await relays(cluster, 1) == ["0"]

    passes(scenario)


def test_a_deaf_server_hears_nobody_and_not_itself() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.deafen("b")
        assert await relays(cluster, 1) == ["failed"]
        assert await cluster.call("b", Relay("b", "x")) == "failed"
        assert await cluster.call("b", Relay("a", "x")) == "x"  # it can call, and the harness reaches it
        cluster.undeafen("b")
        assert await cluster.call("b", Relay("b", "x")) == "x"

    passes(scenario)


def test_lost_requests_fail_at_once_and_have_not_been_executed() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", Faults(request_lost=0.5))
        start = cluster.now()
        answers = await relays(cluster, 200)
        assert cluster.now() - start < 0.1
        assert 60 < answers.count("failed") < 140
        assert await cluster.call("b", Count()) == 200 - answers.count("failed")
        assert cluster.calls("b") == 200

    passes(scenario)


def test_lost_replies_fail_at_once_and_the_request_has_been_executed() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", Faults(reply_lost=0.5))
        start = cluster.now()
        answers = await relays(cluster, 200)
        assert cluster.now() - start < 0.1
        assert 60 < answers.count("failed") < 140
        assert await cluster.call("b", Count()) == 200

    passes(scenario)


@pytest.mark.parametrize("faults", [Faults(request_lost=1, silent=True), Faults(reply_lost=1, silent=True)])
def test_a_silent_loss_is_noticed_when_patience_ends(faults: Faults) -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", faults)
        start = cluster.now()
        assert await relays(cluster, 1, timeout=0.7) == ["failed"]
        assert cluster.now() - start == pytest.approx(0.7, abs=0.01)
        assert "no reply within 0.7 s" in cluster.log("a")

    passes(scenario)


def test_a_duplicate_is_executed_twice_and_answered_once() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", Faults(duplicate=1))
        assert await relays(cluster, 10) == [str(number) for number in range(10)]
        await cluster.sleep(0.1)
        assert await cluster.call("b", Count()) == 20
        assert cluster.calls("b") == 10

    passes(scenario)


def test_a_reordered_request_is_overtaken() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", Faults(reorder=0.5))
        start = cluster.now()
        await relays(cluster, 50)
        assert 0.05 < cluster.now() - start < 0.2
        texts = await cluster.call("b", Texts())
        assert texts != sorted(texts, key=int)

    passes(scenario)


def test_a_delay_is_added() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", Faults(delay=1.0))
        start = cluster.now()
        await relays(cluster, 1)
        assert 1.0 < cluster.now() - start < 1.1

    passes(scenario)


def test_the_courses_unreliable_server() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("b", UNRELIABLE)
        answers = await relays(cluster, 1000)
        lost = 1000 - await cluster.call("b", Count())
        assert 70 < lost < 130
        assert 140 < answers.count("failed") - lost < 220

    passes(scenario)


def test_taps_count_what_they_see_and_cover_later_servers() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "b")
        cluster.tap("b")
        await cluster.start("echo", "a")
        await relays(cluster, 5)
        assert cluster.calls("b") == 5
        await cluster.call("b", Relay("b", "x"))
        await cluster.call("b", Count())
        assert cluster.calls("b") == 5  # neither its own link nor the harness's path has a tap
        cluster.untap("b")
        await relays(cluster, 5)
        assert cluster.calls("b") == 5
        assert cluster.calls("a") == 0

    passes(scenario)


def test_a_held_request_arrives_when_it_is_released() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.hold("a", "b")
        answer = cluster.spawn(cluster.call("a", Relay("b", "x", timeout=10.0)))
        late = cluster.spawn(cluster.call("a", Relay("b", "y", timeout=0.5)))
        assert await late == "failed"
        assert await cluster.call("b", Count()) == 0
        assert await cluster.call("b", Relay("a", "z")) == "z"  # the other direction
        cluster.release("a", "b")
        assert await answer == "x"
        await cluster.sleep(0.1)
        assert await cluster.call("b", Count()) == 2  # the one that was given up arrives, too

    passes(scenario)


def test_what_does_not_fit_is_refused() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        with pytest.raises(
            CallRefused, match=r"expected a method that this server has \(Count, Echo, .*, got 'Unknown'"
        ):
            await cluster.call("a", Unknown())
        with pytest.raises(CallRefused, match=r"Echo\(text, seconds\): Expected `str`, got `int`"):
            await cluster.call("a", Echo(7))  # type: ignore[arg-type]
        with pytest.raises(CallRefused, match="expected a size of at least 0"):
            await cluster.call("a", Keep(-1))
        with pytest.raises(
            CallRefused, match="the reply to Mistyped is not what it should be: Expected `int`, got `str`"
        ):
            await cluster.call("a", Mistyped())

    passes(scenario)


def test_the_harness_has_a_path_of_its_own() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await two(cluster)
        cluster.tap("a", Faults(request_lost=1))
        cluster.deafen("a")
        assert await cluster.call("a", Echo("x")) == "x"
        start = cluster.now()
        with pytest.raises(CallFailed, match=r"no reply within 0.5 s"):
            await cluster.call("a", Echo("x", seconds=1.0), timeout=0.5)
        assert cluster.now() - start == pytest.approx(0.5)
        with pytest.raises(CallFailed, match="nobody listens there"):
            await cluster.call("nobody", Echo("x"))

    passes(scenario)


def test_links_have_randomness_of_their_own() -> None:
    def delays(network: Network, src: str, dst: str) -> list[float]:
        return [network.delay(src, dst) for _ in range(10)]

    async def scenario(cluster: SimCluster) -> None:
        networks = [Network(cluster._loop, seed, cluster.network.trace) for seed in (1, 1, 2)]
        assert delays(networks[0], "a", "b") == delays(networks[1], "a", "b")
        assert delays(networks[0], "a", "b") != delays(networks[0], "b", "a")
        assert delays(networks[0], "a", "c") != delays(networks[2], "a", "c")

    passes(scenario)
