#!/bin/sh
# What people write today, where vfio-pci is not loaded yet: SYSFS ADDRESS...
sysfs=$1
shift
for address; do
    echo vfio-pci >"$sysfs/bus/pci/devices/$address/driver_override"
done
modprobe vfio-pci
