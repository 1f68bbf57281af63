"""Corrupt data: thousands of damaged inputs, each with one of four outcomes.

    python -m tests.faults.campaign --count 1000
    python -m tests.faults.campaign --seconds 600 --kinds records,images

Each kind of input is a module with `KINDS`: {name: make}. `make(folder)` prepares a
folder and gives a function that spoils something with a random generator, hands it to
the project and returns one of `outcomes`. Case `n` of a kind is drawn from the seed
"kind/n" alone, so what broke can be called back by its number.
"""
