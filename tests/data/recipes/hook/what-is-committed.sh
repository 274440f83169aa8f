# what: what is described is what is committed, not all that is staged or changed
# asked: 3
# sent: +two
# not sent: not yet
echo 'not yet' >>file
echo two >new
git add new
git commit -q
is "$(message)" "$proposal"
echo two-b >>new
git add file
git commit -q new
is "$(message)" "$proposal"
git reset -q --hard
echo +two-c >>new
git commit -qa
is "$(message)" "$proposal"
