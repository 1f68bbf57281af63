"""`picanet visualize` from a checkout: python visualize.py --help"""

from picanet_tf.commands import run

if __name__ == "__main__":
    run("visualize", program="visualize.py")
