"""`picanet evaluate` from a checkout: python evaluate.py --help"""

from picanet_tf.commands import run

if __name__ == "__main__":
    run("evaluate", program="evaluate.py")
