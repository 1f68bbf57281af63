"""`picanet train` from a checkout: python train.py --help"""

from picanet_tf.commands import run

if __name__ == "__main__":
    run("train", program="train.py")
