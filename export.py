"""`picanet export` from a checkout: python export.py --help"""

from picanet_tf.commands import run

if __name__ == "__main__":
    run("export", program="export.py")
