# what: commits are picked and made where no branch is checked out
# seen: https://github.com/NangoHQ/nango/pull/6168
# asked: 1
echo x >other
git add other
git commit -qm other
git checkout -q --detach HEAD~1
git cherry-pick main >/dev/null
is "$(message)" other
change two
git commit -q
is "$(message)" "$proposal"
