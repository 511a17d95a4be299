"""Random damage to the data of a broker that was killed."""
import collections
import os
import random
import shutil
import time

import hardware
import mqttcodec as codec

MESSAGES = 400


def make_data(binary):
    """The data folder of a broker killed while idle: several lives, so that there are tables as well as logs. The
    caller removes its parent; also what was acknowledged for the away session."""
    scene = hardware.Scene(binary)
    acknowledged = []
    try:
        scene.broker.start()
        hardware.away_session(scene)
        for life in range(3):
            publisher = scene.client(f"pub-{life}")
            for number in range(life * MESSAGES, (life + 1) * MESSAGES):
                publisher.send(codec.publish("kept/n", b"%d" % number, version=codec.V5, qos=1,
                                             packet_id=number % MESSAGES + 1, retain=number % 7 == 0))
            for _ in range(MESSAGES):
                publisher.expect(codec.PUBACK)
            acknowledged += range(life * MESSAGES, (life + 1) * MESSAGES)
            time.sleep(0.2)   # idle: the recovery mark names the last batch
            if life < 2:
                scene.restart()
        scene.broker.kill()
    except BaseException:
        scene.broker.remove()
        raise
    for one in scene.clients:
        one.close()
    return scene.broker, acknowledged


def damage(data, dice):
    """Breaks one file; says how."""
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(data) for name in names
                   if not name.startswith("LOG") and os.path.getsize(os.path.join(folder, name)) > 0)
    path = dice.choice(files)
    size, kind = os.path.getsize(path), dice.randrange(10)
    where = os.path.relpath(path, data)
    if kind == 0:
        os.unlink(path)
        return f"{where} deleted"
    if kind == 1:
        length = dice.randrange(size)
        os.truncate(path, length)
        return f"{where} cut to {length} of {size}"
    at = dice.randrange(size)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0] ^ 1 << dice.randrange(8)
        file.seek(at)
        file.write(bytes([byte]))
    return f"{where} bit flipped at {at} of {size}"


def outcome(binary, data, acknowledged):
    """`complete` or `refused`; anything else is a silent loss and raises."""
    scene = hardware.Scene(binary, data=data)
    try:
        scene.broker.choose_ports()
        scene.broker.launch()
        deadline = time.monotonic() + 15
        while scene.broker.alive() and time.monotonic() < deadline:
            if any(line.endswith("trunkline: ready") for line in scene.broker.stderr):
                got = read_queue(scene)
                if got is None:
                    break
                hardware.check_kept(acknowledged, got)
                assert got == sorted(got), "out of order"
                return "complete"
            time.sleep(0.01)
        code = scene.broker.process.wait(5)
        scene.broker.reader.join(2)
        text = scene.broker.tail()
        assert code in (1, 3), f"exit code {code}: {text}"
        assert data in text, f"the refusal does not name what is damaged: {text}"
        return "refused" if code == 1 else "stopped"
    finally:
        for one in scene.clients:
            one.close()
        scene.broker.remove()


def read_queue(scene):
    """What the away session gets, or None when the broker stops over it: a queue's damage is found when it is read."""
    try:
        return hardware.drain(scene)
    except (AssertionError, OSError):
        time.sleep(0.5)
        if scene.broker.alive():
            raise
        return None


def run(binary, rounds, seed):
    dice, counts = random.Random(seed), collections.Counter()
    source, acknowledged = make_data(binary)
    work = os.path.join(source.folder, "work")
    try:
        for number in range(rounds):
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(source.data, work)
            what = "nothing" if number == 0 else damage(work, dice)
            try:
                result = outcome(binary, work, acknowledged)
            except AssertionError as error:
                raise AssertionError(f"round {number}, {what}: {error}") from error
            if number > 0:
                counts[result] += 1
            else:
                assert result == "complete", "not even without damage"
    finally:
        source.remove()
    assert counts["refused"] > 0, f"nothing was found: {dict(counts)}"
    return (f"{rounds - 1} damages: {counts['complete']} opened with all {len(acknowledged)} acknowledged, "
            f"{counts['refused']} refused at the start, {counts['stopped']} stopped when the queue was read")
