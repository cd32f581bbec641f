#!/bin/sh
# What people write today: SYSFS ADDRESS...
sysfs=$1
shift
for address; do
    echo vfio-pci >"$sysfs/bus/pci/devices/$address/driver_override"
    echo "$address" >"$sysfs/bus/pci/drivers_probe"
done
