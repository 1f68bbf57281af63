"""`picanet predict` from a checkout: python predict.py --help"""

from picanet_tf.commands import run

if __name__ == "__main__":
    run("predict", program="predict.py")
