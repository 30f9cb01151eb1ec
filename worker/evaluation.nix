# The expressions that hydra_resolver.evaluation evaluates. nix-instantiate gives every --arg and --argstr of its
# command line to the function that `import ./evaluation.nix request` yields.
#
# request.file   the file to look at, an absolute path
# request.places where to look for jobs: sets of `path`, a list of names ([ ] is the file itself), and `chosen`, whether
#                a user named the path. A chosen set is entered even without recurseForDerivations, and a chosen value
#                has to be a set or a derivation
# request.guard  true: an attribute that throws is listed as failed; false: its error ends the evaluation
#
# jobs           every job and every failed attribute at or below the places
# children       the attribute names in the set at the first place, or null when there is no set to enter
request:
{ ... }@arguments:
let
  inherit (builtins)
    attrNames concatMap concatStringsSep deepSeq filter foldl' fromJSON functionArgs hasAttr head intersectAttrs isAttrs
    isFunction isInt isList isString length listToAttrs map match split storeDir stringLength substring toXML tryEval
    typeOf unsafeDiscardStringContext;

  # A function is called with the arguments of the command line: with all of them if the function has an ellipsis, else
  # with those that it names. A function that can't be called so stays as it is. Only the XML form distinguishes
  # `{ ... }:` from `x:`.
  call = value:
    let
      shape = toXML value;
      shows = pattern: length (split pattern shape) > 1;
    in
    if isAttrs value && value ? __functor then call (value.__functor value)
    else if !(isFunction value) || missing value != [ ] || !(shows "<attrspat") then value
    else if shows "<attrspat[^>]* ellipsis=" then value arguments
    else value (intersectAttrs (functionArgs value) arguments);

  missing = function:
    let wanted = functionArgs function;
    in filter (name: !wanted.${name} && !(hasAttr name arguments)) (attrNames wanted);

  describe = value: {
    int = "an integer";
    float = "a number";
    bool = "a boolean";
    string = "a string";
    path = "a path";
    null = "null";
    set = "a set";
    list = "a list (name its elements in a set: lists are not entered)";
    lambda = "a function" + (
      if missing value == [ ] then ""
      else " of an argument without a value ('${head (missing value)}': give it with --arg or --argstr)"
    );
  }.${typeOf value};

  show = path: if path == [ ] then "the file" else "'${concatStringsSep "." path}'";

  # The value at a path; functions on the way are called.
  at = path: (foldl' step { seen = [ ]; value = call (import (/. + request.file)); } path).value;
  step = { seen, value }: name: {
    seen = seen ++ [ name ];
    value =
      if isAttrs value && hasAttr name value then call value.${name}
      else throw "there is no attribute ${show (seen ++ [ name ])}: ${show seen} is ${
        if isAttrs value then "a set of ${concatStringsSep ", " (attrNames value)}" else describe value
      }";
  };

  # How to handle a value: "job", "set" (to enter), or "nothing".
  classify = chosen: path: value:
    if isAttrs value && value.type or null == "derivation" then "job"
    else if isAttrs value then (if chosen || value.recurseForDerivations or false then "set" else "nothing")
    else if !chosen && (value == null || isFunction value) then "nothing"
    else throw "${show path} is ${describe value}, neither a derivation nor a set of derivations";

  attempt = value: if request.guard then tryEval (deepSeq value value) else { success = true; inherit value; };

  visit = chosen: path: value:
    let
      called = call value;
      kind = attempt (classify chosen path called);
      found = attempt (job path called);
      failure = [ { inherit path; failed = true; } ];
    in
    if !kind.success then failure
    else if kind.value == "job" then (if found.success then [ found.value ] else failure)
    else if kind.value == "set" then concatMap (name: visit false (path ++ [ name ]) called.${name}) (children called)
    else [ ];

  children = set: filter (name: name != "recurseForDerivations") (attrNames set);

  job = path: drv:
    let
      meta = drv.meta or { };
      need = name:
        if !(hasAttr name drv) then throw "${show path} calls itself a derivation and has no ${name}"
        else if !(isString drv.${name}) then
          throw "the ${name} of ${show path} is ${describe drv.${name}}, not a string"
        else unsafeDiscardStringContext drv.${name};
      output = name: {
        inherit name;
        value = known (unsafeDiscardStringContext (drv.${name} or drv).outPath);
      };
    in
    {
      inherit path;
      failed = false;
      drv = need "drvPath";
      system = need "system";
      name = need "name";
      outputs = listToAttrs (map output (drv.outputs or [ "out" ]));
      description = words "description" (meta.description or null);
      license = words "shortName" (meta.license or null);
      homepage = words "url" (meta.homepage or null);
      maintainers = words "email" (meta.maintainers or null);
      maxSilent = integer (meta.maxSilent or null);
      timeout = integer (meta.timeout or null);
      schedulingPriority = integer (meta.schedulingPriority or null);
      isChannel = meta.isHydraChannel or false == true || meta.isHydraChannel or false == "true";
    };

  # If an output's path depends on a build, its place holds a placeholder, which lies outside of the store.
  known = path: if substring 0 (stringLength storeDir + 1) path == storeDir + "/" then path else null;

  # A string, a set that has one under `key`, or a list of these: joined with commas.
  words = key: value:
    let
      collect = item:
        if isString item then [ item ]
        else if isList item then concatMap collect item
        else if isAttrs item && hasAttr key item then collect item.${key}
        else [ ];
      found = collect value;
    in
    if found == [ ] then null else unsafeDiscardStringContext (concatStringsSep ", " found);

  integer = value:
    if isInt value then value
    else if isString value && match "0|[1-9][0-9]*" value != null then fromJSON value
    else null;

  first = head request.places;
  value = at first.path;
in
{
  jobs = concatMap ({ path, chosen }: visit chosen path (at path)) request.places;
  children = if classify first.chosen first.path value == "set" then children value else null;
}
