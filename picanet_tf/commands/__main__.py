"""python -m picanet_tf.commands: `picanet` where no script was installed."""

from picanet_tf.commands import main

main()
