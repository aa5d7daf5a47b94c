"""BWV 1007 Prelude, opening bars, as a Standard MIDI File. Stdlib only. Score: J.S. Bach (public domain)."""

import random, struct, sys

N = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def note(s):  # 'F#3' -> 54 (C4=60)
    k = N[s[0]] + (1 if "#" in s else 0)
    return 12 * (int(s[-1]) + 1) + k


BARS = [
    "G2 D3 B3 A3 B3 D3 B3 D3 G2 D3 B3 A3 B3 D3 B3 D3",
    "G2 E3 C4 B3 C4 E3 C4 E3 G2 E3 C4 B3 C4 E3 C4 E3",
    "G2 F#3 C4 B3 C4 F#3 C4 F#3 G2 F#3 C4 B3 C4 F#3 C4 F#3",
    "G2 G3 B3 A3 B3 G3 B3 G3 G2 G3 B3 A3 B3 G3 B3 F#3",
    "G2 E3 B3 A3 B3 G3 F#3 G3 E3 G3 F#3 G3 B2 D3 C#3 B2",
]


def vlq(n):
    b = [n & 127]
    while n := n >> 7:
        b.append(n & 127 | 128)
    return bytes(reversed(b))


def smf(bpm=76, program=42, seed=0, ppq=960):
    r = random.Random(seed)
    ev = [(0, bytes([0xC0, program])), (0, bytes([0xB0, 91, 50])), (0, bytes([0xB0, 7, 110]))]
    t = ppq // 8
    for bar in BARS:
        for i, s in enumerate(bar.split()):
            d = ppq // 4
            p = note(s)
            if i % 8 == 0:
                d = int(d * 1.12)  # lean on the bass note
            on = max(0, t + r.randint(-8, 8))
            off = t + int(d * 0.9)
            v = 62 + (22 if i % 8 == 0 else 8 if i % 2 == 0 else 0) + r.randint(-5, 5)
            ev += [(on, bytes([0x90, p, v])), (off, bytes([0x80, p, 40]))]
            t += d
    ev.sort(key=lambda e: (e[0], e[1][0] & 0xF0 != 0x80))
    tr = b"\x00\xff\x51\x03" + (60_000_000 // bpm).to_bytes(3, "big")
    last = 0
    for at, m in ev:
        tr += vlq(at - last) + m
        last = at
    tr += vlq(ppq) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, ppq) + b"MTrk" + struct.pack(">I", len(tr)) + tr


open(sys.argv[1], "wb").write(smf())
