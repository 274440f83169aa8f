# what: a patch that is larger than an argument list, or than what a model takes, is cut behind its summary
# seen: https://github.com/takai/git-ai-commit/pull/8
# seen: https://github.com/Gentleman-Programming/gentleman-guardian-angel/issues/58
# seen: https://github.com/di-sukharev/opencommit/issues/286
# asked: 1
# sent: package-lock.json | 40000 +
seq 40000 | sed 's/.*/"integrity": "sha512-&&&&&&&&&&"/' >package-lock.json
git add package-lock.json
git commit -q
is "$(message)" "$proposal"
