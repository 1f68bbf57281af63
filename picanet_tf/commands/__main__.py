"""`python -m picanet_tf.commands`, equivalent to the `picanet` script."""

from picanet_tf.commands import main

main()
