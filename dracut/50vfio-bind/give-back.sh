#!/bin/sh
# Sourced by dracut's init queue once it has waited for two thirds of rd.retry= (120 s where nothing is
# said): nothing here may end that shell. The folder is a mark, so that this is done once.
if mkdir /run/vfio-bind/given-back 2> /dev/null && ! /usr/bin/vfio-bind-agent give-back; then
    # Something went back: the queue waits anew.
    # shellcheck disable=SC2034  # dracut's.
    main_loop=0
fi
